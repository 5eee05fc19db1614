"""Turn decoded rows into a prepared dataset: classes, splits, one file."""

from pathlib import Path

from service.ingest.dataset import row_splits, texts
from service.ingest.dataset.decoded import Decoded
from service.ingest.dataset.prepared import PreparedDataset, SplitSource, build
from service.ingest.dataset.row_splits import SplitOptions
from service.ingest.dataset.similar_names import classes_of
from service.ingest.dataset.texts import PreparedTexts
from store.files.row_names import RowNames, taken


def assemble(
    decoded: Decoded, *, options: SplitOptions, workdir: Path
) -> PreparedDataset | PreparedTexts:
    """The dataset of the decoded rows, written to `workdir`; raises BadInput.

    Rows keep their order within a split.
    """
    label = decoded.columns["label"]
    classes, y, similar = classes_of(label, merge_similar=options.merge_similar)
    rows_by_split, warnings = row_splits.assign(
        y,
        split=decoded.columns.get("split"),
        domain=decoded.columns.get("domain"),
        group=decoded.columns.get("group"),
        options=options,
    )
    warnings = [*decoded.warnings, *similar, *warnings]
    names = {
        name: RowNames(
            rows=rows - rows[0] if decoded.is_by_split else rows, ids=taken(decoded.ids, rows)
        )
        for name, rows in rows_by_split.items()
    }
    if decoded.texts is not None:
        return texts.build(
            decoded.texts,
            y,
            rows_by_split,
            classes=classes,
            y_field=label.field,
            warnings=warnings,
            names=names,
        )
    sources = [
        SplitSource(
            name=name,
            x_field=decoded.x_field,
            y_field=label.field,
            y=y[rows],
            names=names[name],
        )
        for name, rows in rows_by_split.items()
    ]
    return build(
        sources,
        decoded.pieces(rows_by_split),
        classes=classes,
        n_columns=decoded.n_columns,
        dtype=decoded.dtype,
        workdir=workdir,
        warnings=warnings,
    )

"""Turn decoded rows into a prepared dataset: classes, splits, one file."""

from pathlib import Path

from service.ingest.dataset import row_splits, texts
from service.ingest.dataset.decoded import Decoded
from service.ingest.dataset.prepared import PreparedDataset, SplitSource, build
from service.ingest.dataset.row_splits import SplitOptions
from service.ingest.dataset.similar_names import classes_of
from service.ingest.dataset.texts import PreparedTexts
from service.ingest.errors import DatasetWarning
from store.files.row_names import RowNames, taken


def assemble(
    decoded: Decoded, *, options: SplitOptions, workdir: Path, is_addition: bool = False
) -> PreparedDataset | PreparedTexts:
    """The dataset of the decoded rows, written to `workdir`; raises BadInput.

    Rows keep their order within a split. `is_addition`: see `prepared.build`.
    """
    label, domain = decoded.columns["label"], decoded.columns.get("domain")
    classes, y, similar = classes_of(
        label, merge_similar=options.merge_similar, n_least=1 if is_addition else 2
    )
    warnings: list[DatasetWarning] = []
    if is_addition:
        split = decoded.columns.get("split")
        rows_by_split = row_splits.of_addition(decoded.n_rows, split, domain)
    else:
        rows_by_split, warnings = row_splits.assign(
            y,
            split=decoded.columns.get("split"),
            domain=domain,
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
            is_addition=is_addition,
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
        is_addition=is_addition,
    )

"""Home of turning decoded rows into a prepared dataset: classes, splits, one file."""

from pathlib import Path

import numpy as np

from service.ingest import row_splits, texts
from service.ingest.decoded import Decoded
from service.ingest.labels import in_class_order, too_few_classes
from service.ingest.prepared import PreparedDataset, SplitSource, build
from service.ingest.row_splits import SplitOptions
from service.ingest.texts import PreparedTexts
from store.row_names import RowNames, taken


def assemble(
    decoded: Decoded, *, options: SplitOptions, workdir: Path
) -> PreparedDataset | PreparedTexts:
    """The dataset of the decoded rows, written to `workdir`; raises BadInput.

    Rows keep their order within a split.
    """
    label = decoded.columns["label"]
    known = label.names or ()
    classes = in_class_order(known)
    if len(classes) < 2:
        raise too_few_classes(len(classes), field=label.field)
    place = {name: index for index, name in enumerate(classes)}
    y = np.array([place[name] for name in known], np.int64)[label.codes]
    rows_by_split, warnings = row_splits.assign(
        y,
        split=decoded.columns.get("split"),
        domain=decoded.columns.get("domain"),
        group=decoded.columns.get("group"),
        options=options,
    )
    warnings = [*decoded.warnings, *warnings]
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

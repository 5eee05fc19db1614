"""Make a dataset of a stored one: with other labels for some rows, and without others."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.datasets.named_rows import Faults, Item, find, items_of
from service.datasets.revision_schemas import CorrectionCreate, Relabelling
from service.datasets.storing import Storing
from service.http.errors import Problem
from service.http.idempotency import Answer
from service.ingest.dataset.revision import Taken, revise
from service.ingest.errors import BadInput
from service.ingest.names.labels import check_name
from service.ingest.names.value_name import name_of, place
from store import datasets
from store.datasets import Dataset, Lineage
from store.files.labelled import LabelledFile
from store.store import Store


def parent_of(store: Store, tenant_id: str, dataset_id: str) -> Dataset:
    """The labelled dataset to make a new one of. Raises NotFound, and Problem without labels."""
    with store.database.read() as tx:
        dataset = datasets.get(tx, tenant_id, dataset_id)
    if not dataset.is_labelled:
        raise Problem(
            422,
            "unlabelled_dataset",
            "The dataset has no labels: it was stored to be predicted. Upload it with labels and "
            "without unlabelled=true.",
            field="dataset_id",
        )
    return dataset


def correct(dataset_id: str, body: CorrectionCreate, *, storing: Storing, workdir: Path) -> Answer:
    """Store a dataset like a stored one, with the corrections. Blocking; that one stays as it is.

    Raises NotFound, Problem, and BadInput, which names the entry and its row, before anything is
    stored.
    """
    if (found := storing.earlier()) is not None:
        return found
    parent = parent_of(storing.store, storing.tenant_id, dataset_id)
    file = LabelledFile.open(parent, storing.store.artifacts)
    names, labels, kept = _corrected(file, body)
    lineage = Lineage(
        parent_id=parent.id,
        parent_sha256=parent.sha256,
        n_relabelled=sum(
            int(np.count_nonzero((labels[split] != rows.y) & kept[split]))
            for split, rows in file.splits.items()
        ),
        n_dropped=len(body.drop),
        note=body.note,
    )
    if not lineage.n_relabelled and not lineage.n_dropped:
        raise BadInput(
            "nothing_to_change",
            "No row would change: name rows in labels, with another label than they have, or in "
            "drop.",
            field="labels",
        )
    taken = [
        Taken(
            split=split,
            rows=rows.rows,
            kept=kept[split],
            labels=labels[split][kept[split]],
            names=rows.names.only(kept[split]),
            map=file.map,
        )
        for split, rows in file.splits.items()
    ]
    ready = revise(taken, label_names=names, declared=declared_of(file), workdir=workdir)
    file.check(parent.sha256)
    return storing.add(ready, name=body.name or parent.name, lineage=lineage)


def declared_of(file: LabelledFile) -> dict[str, int]:
    """The classes in their order, and how many rows each has."""
    counts = sum(np.bincount(rows.y, minlength=len(file.classes)) for rows in file.splits.values())
    return dict(zip(file.classes, np.asarray(counts).tolist(), strict=True))


def _corrected(
    file: LabelledFile, body: CorrectionCreate
) -> tuple[list[str], dict[str, NDArray[np.int64]], dict[str, NDArray[np.bool_]]]:
    """The names of the labels, and by split each row's label and whether it stays."""
    items = items_of(body)
    names, codes = list(file.classes), {name: code for code, name in enumerate(file.classes)}
    faults = Faults()
    wanted = [_label_of(item, faults) for item in items[: len(body.labels)]]
    faults.refuse()
    places = find(file, items)
    labels = {split: np.array(rows.y, np.int64) for split, rows in file.splits.items()}
    kept = {split: np.ones(len(rows.y), np.bool_) for split, rows in file.splits.items()}
    for (split, row), name in zip(places, wanted, strict=False):
        if name not in codes:
            codes[name] = len(names)
            names.append(name)
        labels[split][row] = codes[name]
    for split, row in places[len(wanted) :]:
        kept[split][row] = False
    return names, labels, kept


def _label_of(item: Item, faults: Faults) -> str:
    """The label that an entry of `labels` gives, by the rule of an upload."""
    value = item.reference.label if isinstance(item.reference, Relabelling) else None
    try:
        name = name_of(value, part="label", field=item.field, row=item.index)
        return check_name(name, field=item.field, row=item.index)
    except BadInput as error:
        said = error.message.removeprefix(place("label", item.field, item.index)).strip()
        faults.add(item.fault(error.code, f"the label {said}"))
        return ""

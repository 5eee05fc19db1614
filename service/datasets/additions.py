"""Make a dataset of a stored one and of freshly labelled rows."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from service.datasets.corrections import declared_of, parent_of
from service.datasets.received_body import ReceivedBody
from service.datasets.storing import Storing
from service.http.idempotency import Answer
from service.ingest.dataset.revision import Taken, revise
from service.ingest.dataset.texts import PreparedTexts
from service.ingest.errors import BadInput
from service.ingest.limits import MAX_ROWS, MAX_TEXT_BYTES, MAX_TEXTS
from store.datasets import Lineage
from store.files.dataset import DatasetFile
from store.files.labelled import LabelledFile


def append(
    dataset_id: str,
    received: ReceivedBody,
    *,
    note: str | None,
    storing: Storing,
    workdir: Path,
    max_bytes: int,
) -> Answer:
    """Store a dataset of the rows of a stored one, then those received. Blocking; that one stays.

    `max_bytes` bounds the embeddings of both. Raises NotFound, BadInput and Problem before anything
    is stored.
    """
    if (found := storing.earlier()) is not None:
        return found
    parent = parent_of(storing.store, storing.tenant_id, dataset_id)
    more = _read(received, workdir)
    file = LabelledFile.open(parent, storing.store.artifacts)
    _check_kind(file, more)
    _check_size(file, more, max_bytes)
    names = list(dict.fromkeys([*file.classes, *more.classes]))
    code_of = {name: code for code, name in enumerate(names)}
    places = [rows.names.rows for rows in file.splits.values()]
    start = 1 + max((int(one.max()) for one in places if one is not None), default=-1)
    taken = [
        *_all_of(file, code_of, start=0),
        *_all_of(more, code_of, start=start),
    ]
    ready = revise(taken, label_names=names, declared=declared_of(file), workdir=workdir)
    file.check(parent.sha256)
    n_added = sum(len(rows.y) for rows in more.splits.values())
    lineage = Lineage(parent_id=parent.id, parent_sha256=parent.sha256, n_added=n_added, note=note)
    return storing.add(ready, name=received.name or parent.name, lineage=lineage)


def _read(received: ReceivedBody, workdir: Path) -> LabelledFile:
    """The rows of the request; embeddings lie in a file in `workdir`."""
    ready = received.read(is_addition=True)
    if isinstance(ready, PreparedTexts):
        return LabelledFile.of_texts(ready.file)
    path = ready.path.rename(workdir / "addition.safetensors")
    return LabelledFile.of_embeddings(DatasetFile.open(path))


def _all_of(file: LabelledFile, code_of: Mapping[str, int], *, start: int) -> list[Taken]:
    """All rows of a file; its places in what was sent are counted from `start`."""
    codes = np.array([code_of[name] for name in file.classes], np.int64)
    taken = []
    for split, rows in file.splits.items():
        kept = np.ones(len(rows.y), np.bool_)
        names = rows.names.only(kept)
        taken.append(
            Taken(
                split=split,
                rows=rows.rows,
                kept=kept,
                labels=codes[rows.y],
                names=names.counted_from(start) if start else names,
                map=file.map,
            )
        )
    return taken


def _check_kind(file: LabelledFile, more: LabelledFile) -> None:
    """Refuse texts beside embeddings, and embeddings of another width."""
    if file.map is None or more.map is None:
        if (file.map is None) is not (more.map is None):
            here, there = ("texts", "embeddings")[:: 1 if file.map is None else -1]
            raise BadInput(
                "wrong_content",
                f"The dataset has {here}, but the rows are {there}: send {here}.",
                field=there,
            )
        return
    if more.map.n_columns != file.map.n_columns:
        raise BadInput(
            "width_mismatch",
            f"The rows have {more.map.n_columns:,} columns, but the dataset has "
            f"{file.map.n_columns:,}: use the encoder that made its embeddings.",
            field="embeddings",
        )


def _check_size(file: LabelledFile, more: LabelledFile, max_bytes: int) -> None:
    """Refuse what an upload of all rows would be too large for."""
    splits = [*file.splits.values(), *more.splits.values()]
    n_rows = sum(len(rows.y) for rows in splits)
    texts = [text for rows in splits if isinstance(rows.rows, list) for text in rows.rows]
    most = MAX_TEXTS if texts else MAX_ROWS
    n_bytes, limit, what = sum(map(len, map(str.encode, texts))), MAX_TEXT_BYTES, "texts"
    if file.map is not None and more.map is not None:
        size = max(file.map.dtype.itemsize, more.map.dtype.itemsize)
        n_bytes, limit, what = n_rows * file.map.n_columns * size, max_bytes, "embeddings"
    if n_rows > most:
        raise _too_large(f"{n_rows:,} rows; the limit is {most:,}")
    if n_bytes > limit:
        raise _too_large(f"{n_bytes:,} bytes of {what}; the limit is {limit:,}")


def _too_large(what: str) -> BadInput:
    return BadInput(
        "too_large",
        f"With these rows the dataset would have {what}. Leave out rows of the dataset, or make a "
        "second one.",
        field="body",
    )

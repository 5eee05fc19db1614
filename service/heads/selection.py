"""POST /heads/{name}/select: which rows of a dataset without labels are worth a label."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from nmtune.heads import class_shares as known_shares
from nmtune.numeric.softmax import probabilities_of
from nmtune.study.row_selection import choose, margins_of, shortlist
from service.heads.selection_schemas import SelectRequest
from service.http.errors import Problem
from service.ingest.numbers import check_n_rows
from store import datasets
from store.datasets import TEXTS
from store.files.rows import RowsFile
from store.files.texts import TextsFile
from store.registry.heads import HeadVersion
from store.store import Store

if TYPE_CHECKING:
    from nmtune.heads.head import Head

MOST_TEXTS: Final = 10_000
"""Texts of one request: a provider is paid for each."""
MOST_ROWS: Final = 1_000_000
"""Rows of embeddings of one request: they are read block by block, in seconds."""

_BLOCK_VALUES: Final = 1 << 22

Matrix = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """The n rows to choose from: texts, or a file of embeddings (n, d)."""

    n_rows: int
    file: RowsFile | None = None
    sha256: str = ""
    """Of the file."""
    texts: list[str] | None = None
    ids: Sequence[str] | None = None
    """Of the texts; those of embeddings are in the file."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The file of the rows chosen, and the share of the pool that is unlike the training rows."""

    content: bytes
    n_rows: int
    ood_share: float | None
    """None for a head that has not learnt an OOD score."""


def read(body: SelectRequest, version: HeadVersion, store: Store) -> Pool:
    """The rows of the request's dataset. Blocking. Raises BadInput, NotFound and Problem."""
    with store.database.read() as tx:
        dataset = datasets.get(tx, version.tenant_id, body.dataset_id)
    if dataset.is_labelled:
        raise _wrong(
            "labelled_dataset",
            "The dataset has labels, and rows without labels are what is chosen from. Upload them "
            "with unlabelled=true.",
        )
    if dataset.content == TEXTS:
        if version.encoder is None:
            raise _wrong(
                "text_not_supported",
                "This head was trained on embeddings and cannot read text. Embed the texts with "
                "the model that made the training embeddings, and upload those.",
            )
        check_n_rows(dataset.n_rows, MOST_TEXTS, field="dataset_id", what="texts")
        data = store.artifacts.get_bytes(version.tenant_id, dataset.sha256)
        (split,) = TextsFile.from_bytes(data).splits
        return Pool(n_rows=len(split.texts), texts=split.texts, ids=split.ids)
    check_n_rows(dataset.n_rows, MOST_ROWS, field="dataset_id")
    if dataset.n_columns != version.n_columns:
        raise _wrong(
            "width_mismatch",
            f"The rows have {dataset.n_columns} columns, but the head takes {version.n_columns}: "
            "do the embeddings come from the model that it was trained on?",
        )
    path = store.artifacts.open_path(version.tenant_id, dataset.sha256)
    return Pool(n_rows=dataset.n_rows, file=RowsFile.open(path), sha256=dataset.sha256)


def select(
    body: SelectRequest, version: HeadVersion, pool: Pool, x: Matrix | None, *, store: Store
) -> Selection:
    """Choose the rows and write the file. Blocking. x (n, d): the texts as embeddings.

    Raises DataError for a row that the head cannot take, ArtifactCorrupt.
    """
    from nmtune.heads.head import Head  # torch comes with the first head

    head = Head.from_bytes(store.artifacts.get_bytes(version.tenant_id, version.sha256))
    margins = np.empty(pool.n_rows, np.float32)
    is_ood = np.zeros(pool.n_rows, bool)
    score = head.knowledge.ood if head.knowledge else None
    for start, block, _ in _blocks(pool, x, head):
        stop = start + len(block)
        margins[start:stop] = margins_of(_corrected(head.predict_proba(block), version))
        if score is not None:
            is_ood[start:stop] = score.score(block) > score.threshold
    found = shortlist(margins, is_ood, body.n_rows, ood_share=body.ood_share, seed=body.seed)
    rows, ids = _gathered(pool, x, head, np.concatenate([found.uncertain, found.ood]))
    n_uncertain = len(found.uncertain)
    uncertain, ood = choose(
        found, rows[:n_uncertain], rows[n_uncertain:], body.n_rows, seed=body.seed
    )
    if pool.file is not None:
        pool.file.check(pool.sha256)
    place = {row: at for at, row in enumerate([*found.uncertain.tolist(), *found.ood.tolist()])}
    chosen = [*uncertain.tolist(), *ood.tolist()]
    at = [place[row] for row in chosen]
    probabilities = _corrected(head.predict_proba(rows[at]), version)
    lines = _lines(
        pool,
        head.classes,
        rows[at],
        probabilities,
        [ids[one] for one in at],
        chosen,
        len(uncertain),
    )
    return Selection(
        content=_csv(lines) if body.format == "csv" else _jsonl(lines),
        n_rows=len(chosen),
        ood_share=None if score is None else float(is_ood.mean()),
    )


def _corrected(probabilities: Matrix, version: HeadVersion) -> Matrix:
    """The probabilities (n, c) for the class shares of the alias that was named, if it has any."""
    if version.class_shares is None:
        return probabilities
    trained = version.lineage.get("class_shares")
    added = known_shares.offsets(version.class_shares, trained, version.classes)
    scores = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    return probabilities_of(scores + added)


def _blocks(
    pool: Pool, x: Matrix | None, head: "Head"
) -> Iterator[tuple[int, Matrix, Sequence[str] | None]]:
    """The pool's rows in order, a block at a time: where it starts, embeddings and ids."""
    at_once = max(1, _BLOCK_VALUES // max(head.n_columns, len(head.classes)))
    if pool.file is not None:
        for block in pool.file.blocks(at_once):
            yield block.start, np.asarray(block.x, np.float32), block.ids
    elif x is not None:
        for start in range(0, len(x), at_once):
            ids = None if pool.ids is None else pool.ids[start : start + at_once]
            yield start, x[start : start + at_once], ids


def _gathered(
    pool: Pool, x: Matrix | None, head: "Head", wanted: NDArray[np.intp]
) -> tuple[Matrix, list[str | None]]:
    """The embeddings and ids of these rows, in their order."""
    rows = np.empty((len(wanted), head.n_columns), np.float32)
    names: list[str | None] = [None] * len(wanted)
    for start, block, ids in _blocks(pool, x, head):
        for at in np.flatnonzero((wanted >= start) & (wanted < start + len(block))).tolist():
            rows[at] = block[wanted[at] - start]
            names[at] = None if ids is None else ids[wanted[at] - start] or None
    return rows, names


def _lines(
    pool: Pool,
    classes: Sequence[str],
    x: Matrix,
    probabilities: Matrix,
    ids: Sequence[str | None],
    chosen: Sequence[int],
    n_uncertain: int,
) -> list[dict[str, Any]]:
    """What the file says of each row chosen; `label` is for the person who labels."""
    lines = []
    for at, row in enumerate(chosen):
        best = int(probabilities[at].argmax())
        given = {"embedding": x[at].tolist()} if pool.texts is None else {"text": pool.texts[row]}
        lines.append(
            {
                "row": row,
                "id": ids[at],
                **given,
                "predicted": classes[best],
                "probability": round(float(probabilities[at, best]), 4),
                "chosen_as": "uncertain" if at < n_uncertain else "ood",
                "label": None,
            }
        )
    return lines


def _jsonl(lines: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


def _csv(lines: Sequence[dict[str, Any]]) -> bytes:
    names = [name for name in (lines[0] if lines else ()) if name != "embedding"]
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue().encode()


def _wrong(code: str, message: str) -> Problem:
    return Problem(422, code, message, field="dataset_id")

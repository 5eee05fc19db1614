"""Predict a dataset with one head, block by block, into a file.

Each row gets the answer of POST /predict bit for bit: the same session, in the same passes of
`ROWS_AT_A_TIME` rows from the first one on.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune import Head
from nmtune.errors import DataError
from nmtune.heads import class_shares
from nmtune.rows.checks import as_rows
from nmtune.serving.answers import Answers
from nmtune.serving.folded import fold
from nmtune.serving.session import Session, TunedSession, check_self_test
from nmtune.trust.conformal import Conformal
from nmtune.trust.ood_score import OodScore
from store.bytes.faults import corrupt
from store.files.dataset import DatasetFile
from store.files.rows import RowsFile
from workers.child import output_file
from workers.child.candidate import Message
from workers.child.output_file import Column
from workers.folder import OUTPUT, OUTPUT_SUMMARY, PredictionInstructions, Workdir

ROWS_AT_A_TIME: Final = 1024
"""Rows of one pass, as in the service's batches."""

BLOCK_VALUES: Final = 1 << 22
"""Values of embeddings or probabilities held in memory: 16 MiB of float32."""


class NotLearnt(DataError):  # noqa: N818  it names what is missing
    """The head was trained without something that the options ask for."""

    code = "not_learnt"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to write for each row, from the job's config; None leaves it out."""

    format: str = "parquet"
    output: str = "probabilities"
    top_k: int | None = None
    abstain_below: float | None = None
    conformal_level: float | None = None
    ood: bool = False
    class_shares: dict[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """A block of rows: ids, x (b, d) of any float type, and split and classes if known."""

    ids: list[str] | NDArray[np.int64]
    x: NDArray[np.floating[Any]]
    split: str | None = None
    true_labels: list[str] | None = None


def run(workdir: Workdir) -> Iterator[Message]:
    """Carry out the folder's plan, yield messages on the way, and leave OUTPUT and its summary.

    Raises DataError if the rows or the options are at fault, ArtifactCorrupt or HeadFormatError if
    the head or the rows are not what was stored; then there is no OUTPUT_SUMMARY.
    """
    yield {"type": "stage", "stage": "loading"}
    plan = PredictionInstructions.load(workdir)
    options = Options(**plan.options)
    selection = _Selection(Head.from_bytes(_head_bytes(plan)), options, plan)
    source = _Source(Path(plan.dataset_path), is_labelled=plan.is_labelled)

    yield {"type": "stage", "stage": "predicting"}
    began, n_done = time.monotonic(), 0
    about = {"job": plan.job_id, "head": plan.head, "classes": selection.classes} | selection.about
    with output_file.create(workdir / OUTPUT, form=options.format, about=about) as file:
        for rows in source.blocks(selection.n_at_once):
            file.add(selection.columns(rows))
            n_done += len(rows.x)
            seconds = (time.monotonic() - began) * (source.n_rows - n_done) / n_done
            yield {
                "type": "progress",
                "progress": {
                    "candidate": None,
                    "fraction": round(n_done / source.n_rows, 4),
                    "eta_seconds": round(seconds, 1),
                    "rows": {"n_done": n_done, "n_rows": source.n_rows},
                },
                "is_last": n_done == source.n_rows,
            }
    source.check(plan.dataset_sha256)  # the worker did; now the very bytes that were read
    size = (workdir / OUTPUT).stat().st_size
    workdir.write_json(
        OUTPUT_SUMMARY,
        {"format": options.format, "n_rows": n_done, "size_bytes": size} | selection.about,
    )


def _head_bytes(plan: PredictionInstructions) -> bytes:
    data = Path(plan.head_path).read_bytes()
    if hashlib.sha256(data).hexdigest() != plan.head_sha256:
        raise corrupt(plan.head_path, plan.head_sha256)
    return data


class _Source:
    """The rows of a dataset's file, with or without labels."""

    def __init__(self, path: Path, *, is_labelled: bool) -> None:
        self._labelled = DatasetFile.open(path) if is_labelled else None
        self._plain = None if is_labelled else RowsFile.open(path)
        if self._labelled is not None:
            self.n_rows = sum(len(arrays.y) for arrays in self._labelled.splits.values())
        elif self._plain is not None:
            self.n_rows = self._plain.n_rows

    def check(self, sha256: str) -> None:
        """Raise ArtifactCorrupt unless the file is still what it was stored as."""
        for file in (self._labelled, self._plain):
            if file is not None:
                file.check(sha256)

    def blocks(self, n_at_once: int) -> Iterator[_Rows]:
        """All rows in order, split by split."""
        if self._plain is not None:
            for block in self._plain.blocks(n_at_once):
                numbers = np.arange(block.start, block.start + len(block.x))
                yield _Rows(ids=numbers if block.ids is None else block.ids, x=block.x)
        if self._labelled is not None:
            classes = self._labelled.classes
            for name, arrays in self._labelled.splits.items():
                for start in range(0, len(arrays.y), n_at_once):
                    x, y = arrays.x[start : start + n_at_once], arrays.y[start : start + n_at_once]
                    yield _Rows(
                        ids=np.arange(start, start + len(y)),
                        x=x,
                        split=name,
                        true_labels=[classes[index] for index in y.tolist()],
                    )


class _Selection:
    """One head and what to write about each row: the columns of the output."""

    def __init__(self, head: Head, options: Options, plan: PredictionInstructions) -> None:
        """Raises NotLearnt, SelfTestError, or DataError for options the head does not allow."""
        folded = fold(head)
        self.classes = list(head.classes)
        self._n_columns = head.n_columns
        self._temperature = np.float32(head.temperature)
        self._options = options
        self._offsets = (
            None
            if options.class_shares is None
            else class_shares.offsets(options.class_shares, plan.trained_shares, head.classes)
        )
        self._session = Session(folded, n_threads=plan.n_threads)
        if head.self_test is not None:
            check_self_test(self._session, head.self_test)
        self._tuned = (
            TunedSession(folded, n_threads=plan.n_threads)
            if options.output == "embeddings"
            else None
        )
        self._conformal: Conformal | None = None
        self._ood: OodScore | None = None
        self.about: dict[str, Any] = {}
        """What holds for all rows: the conformal level and the OOD threshold."""
        if options.conformal_level is not None:
            self._conformal = head.knowledge.conformal if head.knowledge else None
            if self._conformal is None:
                raise _not_learnt(
                    plan.head,
                    "conformal_level",
                    "conformal sets, which take held-out rows. Retrain it with method auto or with "
                    "a validation split.",
                )
            self.about["conformal_level"] = self._conformal.level(options.conformal_level)
        if options.ood:
            self._ood = head.knowledge.ood if head.knowledge else None
            if self._ood is None:
                raise _not_learnt(
                    plan.head, "ood", "an OOD score, which takes 100 training rows. Retrain it."
                )
            self.about["ood_threshold"] = self._ood.threshold

    @property
    def n_at_once(self) -> int:
        """Rows of a block: a whole number of passes, and few enough for the memory."""
        widest = max(self._n_columns, len(self.classes))
        return max(1, BLOCK_VALUES // widest // ROWS_AT_A_TIME) * ROWS_AT_A_TIME

    def columns(self, rows: _Rows) -> list[Column]:
        """The output's columns for these rows; DataError names the first bad row."""
        found = [Column(name="id", values=rows.ids)]
        if rows.split is not None:
            found.append(Column(name="split", values=[rows.split] * len(rows.x)))
        if rows.true_labels is not None:
            found.append(Column(name="true_label", values=rows.true_labels))
        x = _checked(rows, self._n_columns)
        if self._tuned is not None:
            return [*found, Column(name="embedding", values=self._tuned.run(x))]
        starts = range(0, len(x), ROWS_AT_A_TIME)
        passes = [self._session.run(x[start : start + ROWS_AT_A_TIME]) for start in starts]
        answers = Answers(*map(np.concatenate, zip(*passes, strict=True)))
        if self._offsets is not None:
            answers = answers.shifted(self._offsets)
        return found + self._of_classes(answers) + self._of_trust(answers, x)

    def _of_classes(self, answers: Answers) -> list[Column]:
        options, probabilities = self._options, answers.probabilities
        best, most = probabilities.argmax(axis=1), probabilities.max(axis=1)
        labels: list[str | None] = [self.classes[index] for index in best.tolist()]
        if options.abstain_below is not None:
            sure = (most >= np.float32(options.abstain_below)).tolist()
            labels = [name if is_sure else None for name, is_sure in zip(labels, sure, strict=True)]
        found = [Column(name="label", values=labels)]
        name = "logits" if options.output == "logits" else "probabilities"
        values = answers.scores * self._temperature if name == "logits" else probabilities
        if options.output != "labels":
            found.append(Column(name="probability", values=most))
        if options.top_k is not None:
            order = np.argsort(-probabilities, axis=1, kind="stable")[:, : options.top_k]
            top = [[self.classes[index] for index in row] for row in order.tolist()]
            found.append(Column(name="top_labels", values=top, m=order.shape[1]))
            values = np.take_along_axis(values, order, axis=1)
        if options.output != "labels":
            called = name if options.top_k is None else f"top_{name}"
            names = self.classes if options.top_k is None else None
            found.append(Column(name=called, values=values, names=names))
        return found

    def _of_trust(self, answers: Answers, x: NDArray[np.float32]) -> list[Column]:
        found = []
        probabilities, level = answers.probabilities, self._options.conformal_level
        if self._conformal is not None and level is not None:
            sizes = self._conformal.sets(probabilities, level).sum(axis=1).tolist()
            ordered = np.argsort(-probabilities, axis=1, kind="stable").tolist()
            sets = [
                [self.classes[index] for index in row[:size]]
                for row, size in zip(ordered, sizes, strict=True)
            ]
            found.append(Column(name="set", values=sets))
        if self._ood is not None:
            scores = self._ood.score(x)
            found.append(Column(name="ood_score", values=scores))
            found.append(Column(name="is_ood", values=scores > self._ood.threshold))
        return found


def _checked(rows: _Rows, n_columns: int) -> NDArray[np.float32]:
    """x (b, d) as float32 in C order; DataError if the head cannot take it."""
    x = np.ascontiguousarray(as_rows(rows.x, n_columns=n_columns), np.float32)
    with np.errstate(over="ignore"):
        finite = np.isfinite(np.einsum("ij,ij->i", x, x))
    if not finite.all():
        at = int(finite.argmin())
        where = f"{rows.ids[at]!s:.80}" + (f" of {rows.split}" if rows.split else "")
        raise DataError(
            f"embeddings in row {where} are too large for the head: do they come from the "
            "encoder it was trained on?",
            field="embeddings",
        )
    return x


def _not_learnt(head: str, field: str, what: str) -> NotLearnt:
    return NotLearnt(f"The head {head} has not learnt {what}", field=field)

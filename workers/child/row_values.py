"""Gather what the candidates say of each row, for the job's file `rows`."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune import Head, HeldOut, LabelErrors
from nmtune.study.neighbours import nearest_rows
from nmtune.vocabulary import TRAIN
from store.files.dataset import DatasetFile, SplitArrays
from store.files.job_rows import (
    N_NEIGHBOURS,
    STEPS,
    JobRows,
    Predictions,
    SplitRows,
    Suspects,
    quantised,
)
from workers.child.candidate import FinishedCandidate
from workers.child.trust import LEVEL

MOST_WITH_NEIGHBOURS: Final = 1000
"""Suspects whose neighbours are searched, like those that the report lists."""

MAX_PRODUCTS: Final = 100_000_000_000
"""Multiplications of that search: about four seconds on two cores. Beyond, fewer are searched."""

_BLOCK_VALUES: Final = 1 << 22


def of_job(
    published: Head,
    *,
    method: str,
    dataset: DatasetFile,
    dataset_sha256: str,
    finished: Mapping[str, FinishedCandidate],
    errors: LabelErrors | None,
) -> JobRows:
    """The values of all rows; `published` is the head of candidate `method`, with its knowledge.

    Each candidate's predictions of all splits have been noted in its result.
    """
    knowledge = published.knowledge
    conformal = None if knowledge is None else knowledge.conformal
    ood = None if knowledge is None else knowledge.ood
    out_of_fold = finished[method].held_out
    splits = {}
    for name, arrays in dataset.splits.items():
        columns: dict[str, Any] = {}
        if name != TRAIN:
            columns = _of_published(published, _logits(published, arrays.x))
        elif out_of_fold is not None and out_of_fold.n_train_rows:
            columns = _of_published(published, _blocks(out_of_fold.logits[: len(arrays.y)]))
        if ood is not None:
            parts = [ood.score(np.asarray(block, np.float32)) for block in _blocks(arrays.x)]
            columns["ood_score"] = np.concatenate(parts)
        said = {
            candidate: predicted
            for candidate, one in finished.items()
            if (predicted := _predictions(name, arrays, one)) is not None
        }
        splits[name] = SplitRows(label=arrays.y, predictions=said, **columns)
    return JobRows(
        classes=dataset.classes,
        published=method,
        candidates=list(finished),
        dataset_sha256=dataset_sha256,
        splits=splits,
        suspects=_suspects(errors, dataset),
        level=None if conformal is None else min(LEVEL, conformal.highest_level),
        ood_threshold=None if ood is None else ood.threshold,
    )


def predictions(probabilities: NDArray[np.floating[Any]], y: NDArray[np.int64]) -> Predictions:
    """What probabilities (n, c) say of rows with the labels y (n,)."""
    return Predictions(
        predicted=probabilities.argmax(axis=1).astype(np.uint32),
        label_probability=quantised(probabilities[np.arange(len(y)), y]),
    )


def _predictions(split: str, arrays: SplitArrays, one: FinishedCandidate) -> Predictions | None:
    """What a candidate says of a split; of training rows only what was held out."""
    if split != TRAIN:
        return one.trained.predictions[split]
    held_out = one.held_out
    if held_out is None or not held_out.n_train_rows:
        return None
    return Predictions(
        predicted=held_out.logits[: len(arrays.y)].argmax(axis=1).astype(np.uint32),
        label_probability=_of_labels(held_out, arrays.y, one.trained.head.temperature),
    )


def _of_labels(held_out: HeldOut, y: NDArray[np.int64], temperature: float) -> NDArray[np.uint16]:
    parts, start = [], 0
    for logits in _blocks(held_out.logits[: len(y)]):
        some = y[start : start + len(logits)]
        some_rows = HeldOut(logits=logits, y=np.asarray(some), n_train_rows=0)
        parts.append(quantised(some_rows.of_truth(temperature)))
        start += len(logits)
    return np.concatenate(parts)


def _of_published(head: Head, logits: Iterator[NDArray[Any]]) -> dict[str, Any]:
    """The columns of the published head alone, from blocks of its logits (b, c)."""
    conformal = None if head.knowledge is None else head.knowledge.conformal
    largest, sizes = [], []
    for block in logits:
        shifted = block.astype(np.float32) / np.float32(head.temperature)
        shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
        probabilities = shifted / shifted.sum(axis=1, keepdims=True)
        largest.append(quantised(probabilities.max(axis=1)))
        if conformal is not None:
            sets = conformal.sets(probabilities, min(LEVEL, conformal.highest_level))
            sizes.append(np.minimum(sets.sum(axis=1), STEPS).astype(np.uint16))
    found: dict[str, Any] = {"predicted_probability": np.concatenate(largest)}
    return found | ({"set_size": np.concatenate(sizes)} if sizes else {})


def _logits(head: Head, x: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (head.logits(block) for block in _blocks(x))


def _blocks(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    n_rows = max(1, _BLOCK_VALUES // rows.shape[1])
    return (rows[start : start + n_rows] for start in range(0, len(rows), n_rows))


def _suspects(errors: LabelErrors | None, dataset: DatasetFile) -> Suspects:
    x = dataset.splits[TRAIN].x
    if errors is None or not len(errors.rows) or len(x) <= N_NEIGHBOURS:
        return Suspects.none()
    n_searched = min(MOST_WITH_NEIGHBOURS, max(1, MAX_PRODUCTS // x.size))
    found = nearest_rows(x, errors.rows[:n_searched], k=N_NEIGHBOURS)
    return Suspects(
        rows=errors.rows.astype(np.uint32),
        suggested=errors.suggested.astype(np.uint32),
        neighbours=found.rows.astype(np.uint32),
        similarities=found.similarities,
    )

"""Apply a head to every row: its scores, and the embeddings that it tunes."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nmtune import Head, evaluate
from nmtune.report.comparison import Score
from store.files.dataset import DatasetFile, Embeddings
from workers.child import row_values
from workers.child.report import CandidateResult

BLOCK_VALUES = 1 << 24  # embeddings passed to a head at a time: 64 MiB of float32


def score(one: CandidateResult, dataset: DatasetFile) -> dict[str, Score]:
    """Evaluate a head on every split; `one` keeps the evaluations, the scores are returned."""
    scores = {}
    for split, arrays in dataset.splits.items():
        logits = np.concatenate([one.head.logits(block) for block in _blocks(arrays.x)])
        probabilities = one.head.probabilities_of(logits)
        evaluation = evaluate(probabilities, arrays.y, dataset.classes)
        one.evaluations[split] = evaluation
        one.predictions[split] = row_values.predictions(probabilities, arrays.y)
        if one.head.temperature != 1:
            plain = one.head.calibrated(1.0).probabilities_of(logits)
            one.uncalibrated[split] = evaluate(plain, arrays.y, dataset.classes)
        scores[split] = Score(
            correct=probabilities.argmax(axis=1) == arrays.y,
            macro_f1=evaluation.macro_f1,
            confidence=probabilities.max(axis=1),
        )
    return scores


def tuned(head: Head, x: Embeddings) -> NDArray[np.float32]:
    """Z (n, m) of x (n, d), without a further copy in memory."""
    z = np.empty((len(x), head.n_tuned_columns), np.float32)
    start = 0
    for block in _blocks(x):
        z[start : start + len(block)] = head.transform(block)
        start += len(block)
    return z


def _blocks(x: Embeddings) -> Iterator[Embeddings]:
    n_rows = max(1, BLOCK_VALUES // x.shape[1])
    for start in range(0, len(x), n_rows):
        yield x[start : start + n_rows]

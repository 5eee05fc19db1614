"""Say what a few labels of each OOD domain would be worth, tried on the job's own OOD splits.

For each size some rows are drawn at random, the published head is adapted to them as `POST
/heads/{name}/adapt` would, and the others are predicted. No row is judged by a head that saw it.
So the cross-validation by which that route measures its gain, and refuses where there is none, is
left out: it would take longer than the training.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune import Head
from nmtune.heads import adaptation
from nmtune.numeric.statistics import mean_interval
from nmtune.vocabulary import OOD_PREFIX, domain_of
from store.files.dataset import DatasetFile, SplitArrays

SIZES: Final = (20, 50, 200)
"""Labelled rows."""

N_DRAWS: Final = 4
FEWER_DRAWS: Final = 3
"""With more than FEW_DOMAINS domains."""
FEW_DOMAINS: Final = 3

MOST_ROWS: Final = 5_000
"""Rows of a domain that are drawn from and judged, at random."""

MOST_DOMAINS: Final = 8
MOST_CLASSES: Final = 200
"""With more, the trials would take longer than the training."""

HINT: Final = (
    "Which rows to label: draw them at random from the new rows, the easy ones too. Only the most "
    "uncertain ones would teach wrong class shares and a wrong temperature."
)


def is_tried(dataset: DatasetFile) -> bool:
    """Whether there is a domain of enough rows, and not too many classes."""
    return bool(_domains(dataset)) and len(dataset.classes) <= MOST_CLASSES


def _domains(dataset: DatasetFile) -> dict[str, SplitArrays]:
    return {
        name: arrays
        for name, arrays in dataset.splits.items()
        if name.startswith(OOD_PREFIX) and len(arrays.y) >= 2 * SIZES[0]
    }


def of_splits(head: Head, dataset: DatasetFile) -> dict[str, Any]:
    """The finding by domain and number of labels; empty without a domain of enough rows."""
    if not is_tried(dataset):
        return {}
    domains = _domains(dataset)
    n_draws = N_DRAWS if len(domains) <= FEW_DOMAINS else FEWER_DRAWS
    splits: dict[str, dict[str, Any]] = {}
    for name, arrays in list(domains.items())[:MOST_DOMAINS]:
        seed = len(splits)
        some = np.sort(np.random.default_rng(seed).permutation(len(arrays.y))[:MOST_ROWS])
        x, y = np.asarray(arrays.x[some], np.float32), np.asarray(arrays.y)[some]
        splits[name] = _of_domain(head, x, y, seed=seed, n_draws=n_draws)
    sentence = _sentence(splits, n_draws=n_draws)
    return {"new_domain": {"splits": splits, "hint": HINT, "sentence": sentence}}


def _of_domain(
    head: Head, x: NDArray[np.float32], y: NDArray[np.int64], *, seed: int, n_draws: int
) -> dict[str, Any]:
    scores = np.asarray(head.logits(x), np.float64) / head.temperature
    sizes = [_of_size(scores, x, y, n, seed, n_draws) for n in SIZES if len(y) >= 2 * n]
    return {"n_rows": len(y), "accuracy": _accuracy(scores, y), "sizes": sizes}


def _of_size(
    scores: NDArray[np.float64],
    x: NDArray[np.float32],
    y: NDArray[np.int64],
    n_labels: int,
    seed: int,
    n_draws: int,
) -> dict[str, Any]:
    """The accuracy on the other rows, as the mean over draws of the labelled ones."""
    before, after = [], []
    for draw in range(n_draws):
        order = np.random.default_rng([seed, n_labels, draw]).permutation(len(y))
        labelled, others = order[:n_labels], order[n_labels:]
        adapted, change = scores[others], None
        if len(np.unique(y[labelled])) > 1:  # else the route refuses
            change = adaptation.change_for(scores[labelled], y[labelled], x=x[labelled])
        if change is not None:
            adapted = change.scores(adapted, x[others])
        before.append(_accuracy(scores[others], y[others]))
        after.append(_accuracy(adapted, y[others]))
    gains = np.array(after) - np.array(before)
    return {
        "n_labels": n_labels,
        "accuracy": float(np.mean(after)),
        "gain": float(gains.mean()),
        "gain_interval": mean_interval(gains),
    }


def _accuracy(scores: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    return float((scores.argmax(axis=1) == y).mean())


def _sentence(splits: dict[str, dict[str, Any]], *, n_draws: int) -> str:
    """What each domain would gain, in one sentence for each."""
    said = []
    for name, one in splits.items():
        parts = [
            f"{size['accuracy']:.1%} with {size['n_labels']} ({100 * size['gain']:+.1f} points, "
            f"{100 * size['gain_interval'][0]:+.1f} to {100 * size['gain_interval'][1]:+.1f})"
            for size in one["sizes"]
        ]
        listed = ", ".join(parts)
        said.append(
            f"On {domain_of(name)} the head is right on {one['accuracy']:.1%}; adapted to labels "
            f"of this domain you would have {listed}."
        )
    how = (
        f"Means over {n_draws} draws of the labelled rows, judged on the other rows, with 95 % "
        "intervals over the draws."
    )
    return " ".join([*said, how])

"""Try a head's conformal sets and OOD score on test and OOD rows, for the report."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune import Head
from nmtune.trust.conformal import Conformal
from nmtune.trust.ood_score import QUANTILE, OodScore, auroc
from nmtune.vocabulary import ID_SPLIT, OOD_PREFIX
from store.files.dataset import DatasetFile

LEVEL: Final = 0.9
"""The conformal level to try; a head that allows no more than a lower one is tried at that."""

MOST_ROWS: Final = 20_000
"""Rows tried per split, evenly spaced."""

UNDER_NOISE: Final = (
    "Many training labels look wrong, and the sets are for the right ones: a test row whose label "
    "is wrong counts as missed."
)

N_BINS: Final = 20
"""Bins of an OOD score's histogram up to the threshold; at most twice as many lie above it."""


def of_splits(head: Head, dataset: DatasetFile, *, noisy: bool = False) -> dict[str, Any]:
    """Coverage of the conformal sets and power of the OOD score by split; empty without either.

    noisy: whether the sets are for the right labels, on the estimate that many given ones are not.
    """
    knowledge = head.knowledge
    if knowledge is None or (knowledge.conformal is None and knowledge.ood is None):
        return {}
    rows = {
        name: _some(arrays.x, arrays.y)
        for name, arrays in dataset.splits.items()
        if name == ID_SPLIT or name.startswith(OOD_PREFIX)
    }
    if not rows:
        return {}
    section: dict[str, Any] = {"conformal": None, "ood": None}
    sentences = []
    if knowledge.conformal is not None:
        section["conformal"], sentence = _coverage(head, knowledge.conformal, rows)
        sentences.append(sentence)
        if sentence and noisy:
            sentences.append(UNDER_NOISE)
    if knowledge.ood is not None:
        section["ood"], sentence = _power(knowledge.ood, rows)
        sentences.append(sentence)
    return {"trust": section | {"sentence": " ".join(filter(None, sentences))}}


_Rows = dict[str, tuple[NDArray[np.float32], NDArray[np.int64]]]


def _some(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    step = -(-len(y) // MOST_ROWS)
    return np.asarray(x[::step], np.float32), np.asarray(y[::step])


def _coverage(head: Head, conformal: Conformal, rows: _Rows) -> tuple[dict[str, Any], str]:
    level = min(LEVEL, conformal.highest_level)
    splits = {}
    for name, (x, y) in rows.items():
        sets = conformal.sets(head.predict_proba(x), level)
        splits[name] = {
            "n_rows": len(y),
            "coverage": float(sets[np.arange(len(y)), y].mean()),
            "mean_size": float(sets.sum(axis=1).mean()),
        }
    section = {"level": level, "n_held_out_rows": conformal.n_rows, "splits": splits}
    if ID_SPLIT not in splits:
        return section, ""
    here = splits[ID_SPLIT]
    return section, (
        f"Conformal sets at level {level:g} contain the true class for {here['coverage']:.1%} of "
        f"the test rows, with {here['mean_size']:.2f} classes per row on average."
    )


def _power(ood: OodScore, rows: _Rows) -> tuple[dict[str, Any], str]:
    scores = {name: ood.score(x) for name, (x, _) in rows.items()}
    inside = scores.get(ID_SPLIT)
    edges = _edges(ood.threshold, scores)
    splits = {
        name: {
            "n_rows": len(of_split),
            "counts": np.histogram(np.clip(of_split, edges[0], edges[-1]), edges)[0].tolist(),
            "share_above_threshold": float((of_split > ood.threshold).mean()),
            "auroc": None if inside is None or name == ID_SPLIT else auroc(inside, of_split),
        }
        for name, of_split in scores.items()
    }
    section = {
        "threshold": ood.threshold,
        "quantile": QUANTILE,
        "edges": edges.tolist(),
        "splits": splits,
    }
    found = [one["auroc"] for one in splits.values() if one["auroc"] is not None]
    if not found:
        return section, ""
    least, most = (f"{value:.2f}" for value in (min(found), max(found)))
    between = least if least == most else f"{least} to {most}"
    return section, (
        f"The OOD score separates other domains from the test rows with an AUROC of {between} (0.5 "
        "is chance)."
    )


def _edges(threshold: float, scores: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """The bins of the scores' histograms: one ends at the threshold, the last holds what is far."""
    far = max(float(np.quantile(of_split, 0.98)) for of_split in scores.values())
    inner = threshold if threshold > 0 else max(far, 1.0)
    n_above = min(max(1, int(np.ceil((far / inner - 1) * N_BINS))), 2 * N_BINS)
    above = np.linspace(inner, max(far, 1.05 * inner), n_above + 1)[1:]
    return np.concatenate([np.linspace(0, inner, N_BINS + 1), above])

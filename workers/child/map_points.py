"""Choose the rows of a job's map and place them on their principal axes."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune import Head
from nmtune.study.projection import FEWEST_ROWS, Principal, principal_axes
from nmtune.vocabulary import TRAIN
from store.files import columns
from store.files.dataset import DatasetFile
from store.files.job_map import (
    FEW_ROWS,
    MOST_POINTS,
    NOT_PREDICTED,
    PENDING,
    SWITCHED_OFF,
    JobMap,
    quantised,
)
from store.files.job_rows import JobRows

POINTS_FORMAT: Final = "nmtune-map-points"
VERSION: Final = "1"

_BLOCK_ROWS: Final = 1024


@dataclass(frozen=True, kw_only=True)
class MapPoints:
    """A map on principal axes, and what t-SNE is drawn from: along more axes, raw and tuned."""

    map: JobMap
    raw: Principal
    tuned: Principal

    @property
    def is_pending(self) -> bool:
        """Whether t-SNE is still to be drawn."""
        return self.map.tsne == PENDING

    def to_bytes(self) -> bytes:
        """What t-SNE is drawn from, as a file."""
        return columns.to_bytes(
            {"format": POINTS_FORMAT, "version": VERSION},
            {"raw": self.raw.coordinates, "tuned": self.tuned.coordinates},
        )


def place(
    head: Head, dataset: DatasetFile, rows: JobRows, *, tsne_seconds: float, seed: int
) -> MapPoints:
    """The map of at most MOST_POINTS rows; `tsne_seconds` is how long t-SNE may take, 0: never."""
    chosen = choose(rows, seed=seed)
    x = np.concatenate([dataset.splits[name].x[at] for name, at in chosen.items()])
    x = x.astype(np.float32)
    blocks = (x[start : start + _BLOCK_ROWS] for start in range(0, len(x), _BLOCK_ROWS))
    tuned = np.concatenate([head.transform(block) for block in blocks])
    raw_axes, tuned_axes = principal_axes(x, seed=seed), principal_axes(tuned, seed=seed)
    about = {
        "classes": list(rows.classes),
        "splits": list(rows.splits),
        "n_rows": {name: len(one.label) for name, one in rows.splits.items()},
        "explained_variance": {
            name: [round(float(one), 5) for one in axes.explained[:2]]
            for name, axes in (("raw", raw_axes), ("tuned", tuned_axes))
        },
        "ood_threshold": rows.ood_threshold,
        "tsne": _tsne(len(x), tsne_seconds),
        "tsne_seconds": tsne_seconds,
    }
    planes = {"pca_raw": quantised(raw_axes.plane), "pca_tuned": quantised(tuned_axes.plane)}
    return MapPoints(
        map=JobMap(columns=_columns(rows, chosen) | planes, about=about),
        raw=raw_axes,
        tuned=tuned_axes,
    )


def choose(rows: JobRows, *, seed: int) -> dict[str, NDArray[np.int64]]:
    """The rows to show, rising, by split: all of them if they are few enough.

    Else suspected and wrongly predicted rows come first, but take half of the places at most, so
    that the others can be seen too; both halves have each class of each split in proportion.
    """
    sizes = [len(one.label) for one in rows.splits.values()]
    starts = np.cumsum([0, *sizes])
    kept = np.arange(starts[-1])
    if len(kept) > MOST_POINTS:
        random = np.random.default_rng(seed)
        stratum, is_striking = _strata(rows)
        order = random.permutation(len(kept))
        striking, plain = order[is_striking[order]], order[~is_striking[order]]
        n_striking = min(len(striking), max(MOST_POINTS // 2, MOST_POINTS - len(plain)))
        kept = np.concatenate(
            [
                _in_proportion(striking, stratum, n_striking),
                _in_proportion(plain, stratum, MOST_POINTS - n_striking),
            ]
        )
        kept = np.sort(kept)
    return {
        name: kept[np.searchsorted(kept, start) : np.searchsorted(kept, start + size)] - start
        for name, size, start in zip(rows.splits, sizes, starts.tolist(), strict=False)
    }


def _strata(rows: JobRows) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Of each row of all splits: its split and class in one number, and whether it is striking."""
    strata, striking = [], []
    for index, (name, one) in enumerate(rows.splits.items()):
        strata.append(index * len(rows.classes) + one.label.astype(np.int64))
        said = one.predictions.get(rows.published)
        is_wrong = np.zeros(len(one.label), bool) if said is None else said.predicted != one.label
        if name == TRAIN:
            is_wrong[rows.suspects.rows] = True
        striking.append(is_wrong)
    return np.concatenate(strata), np.concatenate(striking)


def _in_proportion(
    places: NDArray[np.int64], stratum: NDArray[np.int64], n_wanted: int
) -> NDArray[np.int64]:
    """`n_wanted` of the shuffled places, strata in proportion, one of each first."""
    of = stratum[places]
    order = np.argsort(of, kind="stable")
    _, begins, sizes = np.unique(of[order], return_index=True, return_counts=True)
    rank = np.empty(len(places))
    rank[order] = np.arange(len(places)) - np.repeat(begins, sizes)
    size = np.empty(len(places))
    size[order] = np.repeat(sizes, sizes)
    key = np.where(rank == 0, -1.0, (rank + 0.5) / size)
    return places[np.argsort(key, kind="stable")[:n_wanted]]


def _columns(rows: JobRows, chosen: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[Any]]:
    index = np.uint16 if len(rows.classes) < NOT_PREDICTED[np.dtype(np.uint16)] else np.uint32
    parts: dict[str, list[NDArray[Any]]] = {}
    for number, (name, at) in enumerate(chosen.items()):
        one = rows.splits[name]
        said = one.predictions.get(rows.published)
        unknown = np.full(len(at), NOT_PREDICTED[np.dtype(index)], index)
        suspected = np.isin(at, rows.suspects.rows) if name == TRAIN else np.zeros(len(at), bool)
        values = {
            "split": np.full(len(at), number, np.uint8),
            "row": at.astype(np.uint32),
            "label": one.label[at].astype(index),
            "predicted": unknown if said is None else said.predicted[at].astype(index),
            "label_probability": (
                np.zeros(len(at), np.uint16) if said is None else said.label_probability[at]
            ),
            "ood_score": (
                np.full(len(at), np.nan, np.float32)
                if one.ood_score is None
                else one.ood_score[at].astype(np.float32)
            ),
            "suspected": suspected.astype(np.uint8),
        }
        for column, array in values.items():
            parts.setdefault(column, []).append(array)
    return {column: np.concatenate(arrays) for column, arrays in parts.items()}


def _tsne(n_points: int, seconds: float) -> str:
    if n_points < FEWEST_ROWS:
        return FEW_ROWS
    return PENDING if seconds > 0 else SWITCHED_OFF

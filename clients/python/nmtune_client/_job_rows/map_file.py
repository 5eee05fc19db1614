"""A job's map: its rows as points of a plane, read from a safetensors file by numpy alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from nmtune_client._show.reprs import short

_STEPS: Final = 65_535
_PREFIX_BYTES: Final = 8
_TYPES: Final = {"U8": "u1", "U16": "<u2", "U32": "<u4", "F32": "<f4"}
_PLANES: Final = ("pca_raw", "pca_tuned", "tsne_raw", "tsne_tuned")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class JobMap:
    """At most 10,000 rows of a job as n points; each array is (n,) unless said otherwise.

    split: index into `splits`; row: the row in that split. label, predicted: indices into
    `classes`; predicted is -1 for training rows without a held-out prediction, and their
    label_probability (0..1) is NaN. ood_score: NaN if the head has none. suspected: whether the
    label looks wrong. planes: by name, pca_raw and pca_tuned, and tsne_tuned and tsne_raw if drawn:
    (n, 2), 0..1 along the longer side. tsne: "drawn", "pending", or why it is not there.
    n_rows: all rows by split, shown or not. explained_variance: by `raw` and `tuned`, the shares of
    the two principal axes.

    In a t-SNE plane near points are alike; distances between groups and their sizes mean nothing.
    """

    split: NDArray[np.uint8]
    row: NDArray[np.int64]
    label: NDArray[np.int64]
    predicted: NDArray[np.int64]
    label_probability: NDArray[np.float64]
    ood_score: NDArray[np.float32]
    suspected: NDArray[np.bool_]
    planes: Mapping[str, NDArray[np.float64]]
    classes: tuple[str, ...]
    splits: tuple[str, ...]
    n_rows: Mapping[str, int]
    explained_variance: Mapping[str, list[float]]
    ood_threshold: float | None
    tsne: str
    about: Mapping[str, str] = field(default_factory=dict)
    """The file's metadata as it is."""

    def __len__(self) -> int:
        return len(self.row)

    def __repr__(self) -> str:
        planes = ", ".join(self.planes)
        return f"JobMap({len(self):,} points, planes={planes}, tsne={short(self.tsne)})"

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The map in a file; ValueError, KeyError or TypeError for other bytes."""
        columns, about = _read(data)
        predicted = columns["predicted"].astype(np.int64)
        unknown = predicted == np.iinfo(columns["predicted"].dtype).max
        share = columns["label_probability"] / _STEPS
        return cls(
            split=columns["split"],
            row=columns["row"].astype(np.int64),
            label=columns["label"].astype(np.int64),
            predicted=np.where(unknown, -1, predicted),
            label_probability=np.where(unknown, np.nan, share),
            ood_score=columns["ood_score"],
            suspected=columns["suspected"].astype(bool),
            planes={name: columns[name] / _STEPS for name in _PLANES if name in columns},
            classes=tuple(json.loads(about["classes"])),
            splits=tuple(json.loads(about["splits"])),
            n_rows=json.loads(about["n_rows"]),
            explained_variance=json.loads(about["explained_variance"]),
            ood_threshold=json.loads(about["ood_threshold"]),
            tsne=about["tsne"],
            about=about,
        )


def _read(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The columns and the metadata of a safetensors file."""
    length = int.from_bytes(data[:_PREFIX_BYTES], "little")
    start = _PREFIX_BYTES + length
    if not 0 < length <= len(data) - _PREFIX_BYTES:
        raise ValueError("it is no map: its header is damaged")
    header = json.loads(data[_PREFIX_BYTES:start])
    about = header.pop("__metadata__")
    columns = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        array = np.frombuffer(data[start + begin : start + end], _TYPES[entry["dtype"]])
        columns[name] = array.reshape(entry["shape"])
    return columns, about

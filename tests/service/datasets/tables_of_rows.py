"""Rows as a sender has them, written in several formats, so that a correction can be compared."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tests.support.files.arrays import npz
from tests.support.files.tables import parquet

N_ROWS: Final = 60
_ARRAYS: Final = {"train": "train", "test": "test", "ood/sketch": "ood_sketch"}


@dataclass(frozen=True)
class Row:
    """A row of the sender's; `file_row` is its place in what was sent first."""

    split: str
    file_row: int
    id: str
    label: str
    x: tuple[float, ...]

    @property
    def text(self) -> str:
        return f"text {self.id}: {self.x[0]:.3f}"


def made(
    n_rows: int = N_ROWS, *, first: int = 0, labels: tuple[str, ...] = ("cat", "dog", "eel")
) -> list[Row]:
    """Rows of three splits, one after another, of so many classes in turn."""
    x = np.random.default_rng(first).standard_normal((n_rows, 4)).astype(np.float32)
    third = n_rows // 3
    splits = ["train"] * (n_rows - 2 * third) + ["test"] * third + ["ood/sketch"] * third
    return [
        Row(
            split=splits[row],
            file_row=first + row,
            id=f"ticket-ä{first + row}",
            label=labels[row % len(labels)],
            x=tuple(x[row].tolist()),
        )
        for row in range(n_rows)
    ]


def as_csv(rows: Iterable[Row]) -> bytes:
    lines = ["split,id,label,dim_0,dim_1,dim_2,dim_3"]
    lines += [",".join([r.split, r.id, r.label, *map(repr, r.x)]) for r in rows]
    return "\n".join(lines).encode()


def as_texts(rows: Iterable[Row]) -> bytes:
    return "\n".join(
        json.dumps({"split": r.split, "id": r.id, "label": r.label, "text": r.text}) for r in rows
    ).encode()


def as_parquet(rows: Iterable[Row]) -> bytes:
    listed = list(rows)
    return parquet(
        {
            "split": [r.split for r in listed],
            "id": [r.id for r in listed],
            "label": [r.label for r in listed],
            "embedding": [np.array(r.x, np.float16) for r in listed],
        }
    )


def as_npz(rows: Iterable[Row], *, class_names: tuple[str, ...] = ()) -> bytes:
    """With the rows' places and ids, so that rows that were left out do not shift the others."""
    arrays: dict[str, Any] = {}
    listed = list(rows)
    for split, name in _ARRAYS.items():
        mine = [row for row in listed if row.split == split]
        if mine:
            arrays |= {
                f"{name}_x": np.array([row.x for row in mine], np.float32),
                f"{name}_y": np.array([row.label for row in mine]),
                f"{name}_ids": np.array([row.id for row in mine]),
                f"{name}_rows": np.array([row.file_row for row in mine]),
            }
    if class_names:
        arrays["class_names"] = np.array(class_names)
    return npz(arrays)


FORMATS: Final[dict[str, tuple[str, Callable[[Iterable[Row]], bytes]]]] = {
    "csv": ("text/csv", as_csv),
    "parquet": ("application/vnd.apache.parquet", as_parquet),
    "texts": ("application/x-ndjson", as_texts),
    "npz": ("application/x-npz", as_npz),
}

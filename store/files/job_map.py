"""The rows of a job as points of a plane: the file `map`, columns of at most MOST_POINTS points.

Positions are kept as uint16: 0 to 65,535 along the longer side, one scale for both axes. A map is
made with PCA alone; t-SNE is added later, or a reason why it is missing takes its place.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from store.errors import InvalidDatasetFile
from store.files.columns import ColumnsFile, to_bytes

FORMAT: Final = "nmtune-job-map"
VERSION: Final = "1"
MOST_POINTS: Final = 10_000
STEPS: Final = 65_535

DRAWN: Final = "drawn"
PENDING: Final = "pending"

FEW_ROWS: Final = "Not drawn: there are too few rows."
SWITCHED_OFF: Final = "Not drawn: the operator has switched it off (NMTUNE_MAP_SECONDS=0)."
LOST: Final = (
    "Not drawn: in the {seconds:g} seconds after the job's end that a worker takes for it, the "
    "worker was needed for another job, was stopped, or did not finish."
)
GRACE_SECONDS: Final = 60.0
"""How much longer than its time limit a drawing may take to be stored."""

NOT_PREDICTED: Final = {np.dtype(kind): int(np.iinfo(kind).max) for kind in (np.uint16, np.uint32)}
"""What stands for no prediction, by the type of the column: of training rows without a held-out
one."""


def quantised(plane: NDArray[np.floating[Any]]) -> NDArray[np.uint16]:
    """Positions (n, 2) as they are kept; the origin is the least of each axis."""
    low = plane.min(axis=0).astype(np.float64)
    extent = float((plane.astype(np.float64) - low).max())
    if extent <= 0:
        return np.zeros(plane.shape, np.uint16)
    return np.rint((plane.astype(np.float64) - low) / extent * STEPS).astype(np.uint16)


@dataclass(frozen=True, kw_only=True)
class JobMap:
    """Points of a job's rows.

    columns: by name: split, row, label, predicted, label_probability, ood_score (NaN if the head
    has none), suspected, each (n,); and the planes pca_raw, pca_tuned, later tsne_tuned and
    tsne_raw, each (n, 2) uint16. about: the metadata that a reader sees, ready for JSON.
    """

    columns: Mapping[str, NDArray[Any]]
    about: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """The file."""
        about = {
            name: one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)
            for name, one in self.about.items()
        }
        return to_bytes({"format": FORMAT, "version": VERSION, **about}, self.columns)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The map in a file. Raises InvalidDatasetFile."""
        file = ColumnsFile.from_bytes(data, kind=FORMAT, version=VERSION)
        try:
            about = {
                name: value if name == "tsne" else json.loads(value)
                for name, value in file.metadata.items()
                if name not in ("format", "version")
            }
        except ValueError as error:
            raise InvalidDatasetFile(f"A stored map cannot be read: {error}") from error
        return cls(columns=file.columns, about=about)

    @property
    def tsne(self) -> str:
        """`drawn`, `pending`, or why there is no t-SNE."""
        return str(self.about["tsne"])

    def drawn(self, planes: Mapping[str, NDArray[np.floating[Any]]]) -> "JobMap":
        """This map with t-SNE planes (n, 2)."""
        kept = {name: quantised(plane) for name, plane in planes.items()}
        return JobMap(columns={**self.columns, **kept}, about={**self.about, "tsne": DRAWN})

    def as_of(self, age_seconds: float) -> "JobMap":
        """This map as it must be read so long after the job's end.

        A drawing that is pending longer than its time limit allows was lost with its worker.
        """
        if self.tsne != PENDING:
            return self
        limit = float(self.about["tsne_seconds"])
        if age_seconds <= limit + GRACE_SECONDS:
            return self
        reason = LOST.format(seconds=limit)
        return JobMap(columns=self.columns, about={**self.about, "tsne": reason})

"""Prepare a dataset: checked bytes on disk that only need a name and a row."""

import logging
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from service.ingest.dataset.profile import Profiler
from service.ingest.disk import room_needed
from service.ingest.errors import DatasetWarning, Places
from service.ingest.limits import MAX_PLACES
from service.ingest.names.labels import too_few_classes
from service.ingest.numbers import not_finite, refuse
from store import datasets
from store.bytes.port import ArtifactRef, Artifacts
from store.database.connection import Transaction
from store.errors import Conflict
from store.files.dataset import DatasetWriter
from store.files.row_names import RowNames

log = logging.getLogger(__name__)

_PREFIX: Final = "ingest-"
_STALE_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, kw_only=True)
class PreparedDataset:
    """A dataset file at `path`, and everything for its row; nothing is stored yet.

    `splits` lists {"name", "n_rows", "class_counts"} with the counts by class index. The file is
    valid until the workspace it was made in is left.
    """

    path: Path
    classes: tuple[str, ...]
    n_columns: int
    n_rows: int
    splits: list[dict[str, Any]]
    profile: dict[str, Any]
    warnings: list[DatasetWarning]

    def put(self, artifacts: Artifacts, tenant_id: str) -> ArtifactRef:
        """Store the bytes, outside of any transaction (bytes first, then the row)."""
        return artifacts.put_file(tenant_id, self.path)

    def add(
        self,
        tx: Transaction,
        tenant_id: str,
        *,
        name: str,
        artifact: ArtifactRef,
        artifacts: Artifacts,
        lineage: datasets.Lineage | None = None,
    ) -> datasets.Dataset:
        """Add the row to the caller's transaction, naming the bytes that `put` stored.

        Raises Conflict if a dataset with the same bytes was deleted in between: that deletion
        removes them inside its own write transaction, so from here on they stay.
        """
        dataset = datasets.add(
            tx,
            tenant_id,
            name=name,
            sha256=artifact.sha256,
            size_bytes=artifact.size_bytes,
            n_rows=self.n_rows,
            n_columns=self.n_columns,
            classes=list(self.classes),
            splits=self.splits,
            profile=self.profile,
            warnings=self.warnings,
            lineage=lineage,
        )
        if not artifacts.exists(tenant_id, artifact.sha256):
            raise Conflict(
                "A dataset with the same content was deleted at this moment: send this one again."
            )
        return dataset


@dataclass(frozen=True, kw_only=True)
class SplitSource:
    """One split to be written: y (n,) class indices; its rows come in pieces.

    `x_field` and `y_field` are the sender's names of the two, `names` those of the rows.
    """

    name: str
    x_field: str
    y_field: str
    y: NDArray[np.int64]
    names: RowNames


@dataclass(frozen=True, kw_only=True)
class Piece:
    """The next rows of a split, x (b, d) of any float.

    `rows` (b,) is where the sender has them; None: within the split. `x_field` is the sender's name
    of the array that they are from; None: that of the split.
    """

    split: str
    x: NDArray[Any]
    rows: NDArray[np.intp] | None = None
    x_field: str | None = None


def build(
    sources: Sequence[SplitSource],
    pieces: Iterable[Piece],
    *,
    classes: Sequence[str],
    n_columns: int,
    dtype: np.dtype[Any],
    workdir: Path,
    warnings: Sequence[DatasetWarning] = (),
    is_addition: bool = False,
) -> PreparedDataset:
    """Write the dataset file in one pass, checking and profiling each piece.

    The pieces of a split keep their order; splits are written in that of `sources`; `dtype` is
    float16 or float32. A thread profiles one piece while the next is read and written. Raises
    BadInput where a value is not finite, StorageUnavailable if the disk is full.

    `is_addition`: the rows will join those of a dataset. So they need no split train and no two
    classes, and have no profile.
    """
    for source in sources:
        n_present = int(np.count_nonzero(np.bincount(source.y)))
        if source.name == "train" and n_present < 2 and not is_addition:
            raise too_few_classes(n_present, field=source.y_field)
    path = workdir / "dataset.safetensors"
    layout = [(source.name, len(source.y)) for source in sources]
    profiler = Profiler(
        classes=classes, n_columns=n_columns, splits=[source.name for source in sources]
    )
    with (
        ThreadPoolExecutor(1, "profile") as beside,
        DatasetWriter(
            path,
            classes=classes,
            n_columns=n_columns,
            dtype=dtype,
            splits=layout,
            row_names={source.name: source.names for source in sources},
        ) as writer,
    ):
        for source in sources:
            writer.y(source.name)[:] = source.y
        writer.release()
        profiled: Future[None] | None = None
        for source, start, stored in _checked(sources, pieces, dtype):
            writer.write(source.name, start, stored)
            if profiled is not None:
                profiled.result()
            y = source.y[start : start + len(stored)]
            profiled = beside.submit(profiler.add, source.name, stored, y)
        # while the file is synced
        finished = beside.submit(_no_profile if is_addition else profiler.finish)
    if profiled is not None:
        profiled.result()
    profile, found = finished.result()
    return PreparedDataset(
        path=path,
        classes=tuple(classes),
        n_columns=n_columns,
        n_rows=sum(n_rows for _, n_rows in layout),
        splits=[
            {"name": name, "n_rows": n_rows, "class_counts": profiler.class_counts(name)}
            for name, n_rows in layout
        ],
        profile=profile,
        warnings=[*warnings, *found],
    )


def _no_profile() -> tuple[dict[str, Any], list[DatasetWarning]]:
    return {}, []


def _checked(
    sources: Sequence[SplitSource], pieces: Iterable[Piece], dtype: np.dtype[Any]
) -> Iterator[tuple[SplitSource, int, NDArray[Any]]]:
    """Each piece as it is stored, and the row of its split that it begins at; raises BadInput."""
    by_name = {source.name: source for source in sources}
    starts = dict.fromkeys(by_name, 0)
    places = Places()
    for piece in pieces:
        source, start = by_name[piece.split], starts[piece.split]
        with np.errstate(over="ignore"):  # overflow is refused just below
            stored = np.ascontiguousarray(piece.x, dtype=dtype)
        found = not_finite(
            piece.x,
            stored,
            field=piece.x_field or source.x_field,
            first_row=start,
            rows=piece.rows,
        )
        places.add(found)
        if places.count >= MAX_PLACES:
            break
        if not places.count:
            yield source, start, stored
        starts[piece.split] = start + len(stored)
    refuse(places)


@contextmanager
def workspace(data_dir: Path) -> Iterator[Path]:
    """A private folder below `data_dir` for one upload, removed with all it holds at the end.

    It is beside the artifacts, so storing the finished file is a rename and not a copy.
    """
    parent = data_dir / "tmp"
    with room_needed():
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_stale(parent)
        folder = tempfile.TemporaryDirectory(dir=parent, prefix=_PREFIX)
    with folder as path:
        yield Path(path)


def _remove_stale(parent: Path) -> None:
    """Remove what processes that were killed left behind."""
    oldest = time.time() - _STALE_SECONDS
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            is_stale = folder.stat().st_mtime < oldest
        except FileNotFoundError:
            continue  # another upload has just ended
        if is_stale:
            log.warning("workspace.remove_stale folder=%s", folder.name)
            shutil.rmtree(folder, ignore_errors=True)

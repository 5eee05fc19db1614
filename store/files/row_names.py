"""The sender's names of stored rows: the place in the data sent, and an id if there is one."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.errors import InvalidDatasetFile
from store.files.rows import Ids


@dataclass(frozen=True, kw_only=True)
class RowNames:
    """The names of the n rows of a split: `rows` (n,) int64 are places in the data sent, from 0.

    A place of -1 is unknown. `ids` are the sender's own names; an empty id means that there is
    none.
    """

    rows: NDArray[np.int64]
    ids: Ids | None = None

    @classmethod
    def joined(cls, parts: "Sequence[RowNames]") -> "RowNames":
        """The names of splits joined in this order; splits without ids get empty ones.

        Places are counted on, as in the concatenated arrays.
        """
        starts = np.cumsum([0, *(len(one.rows) for one in parts[:-1])])
        return cls.concatenated(
            [one.counted_from(start) for one, start in zip(parts, starts.tolist(), strict=True)]
        )

    @classmethod
    def concatenated(cls, parts: "Sequence[RowNames]") -> "RowNames":
        """The names of rows in this order; parts without ids get empty ones."""
        if len(parts) == 1:
            return parts[0]
        rows = np.concatenate([one.rows for one in parts])
        if all(one.ids is None for one in parts):
            return cls(rows=rows)
        ids = [one.ids or Ids.of([""] * len(one.rows)) for one in parts]
        offsets = np.cumsum([0, *(len(one.content) for one in ids[:-1])])
        ends = [one.ends + offset for one, offset in zip(ids, offsets.tolist(), strict=True)]
        content = b"".join(one.content for one in ids)
        return cls(rows=rows, ids=Ids(ends=np.concatenate(ends), content=content))

    def counted_from(self, start: int) -> "RowNames":
        """The same with places that begin at `start` in place of 0."""
        return RowNames(rows=self.rows + start, ids=self.ids)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The tensors that a file keeps, by name; without what is unknown of all rows."""
        kept: dict[str, NDArray[Any]] = {}
        if (self.rows >= 0).any():
            kept["rows"] = np.asarray(self.rows, "<i8")
        if self.ids is not None and self.ids.content:
            kept["ends"] = np.asarray(self.ids.ends, "<i8")
            kept["ids"] = np.frombuffer(self.ids.content, np.uint8)
        return kept


@dataclass(frozen=True, kw_only=True)
class StoredNames:
    """The names as a file has them: arrays that are read only where needed.

    Each is None if unknown, such as `rows` in datasets older than that tensor.
    """

    rows: NDArray[np.int64] | None = None
    ends: NDArray[np.int64] | None = None
    ids: NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> "StoredNames":
        """The names in the arrays of `RowNames.tensors`."""
        return cls(rows=arrays.get("rows"), ends=arrays.get("ends"), ids=arrays.get("ids"))

    @classmethod
    def of_lists(cls, rows: Sequence[int], ids: Sequence[str] | None) -> "StoredNames":
        """The names in two lists."""
        places = np.array(rows, np.int64)
        if ids is None:
            return cls(rows=places)
        kept = Ids.of(ids)
        return cls(rows=places, ends=kept.ends, ids=np.frombuffer(kept.content, np.uint8))

    def row(self, at: int) -> int | None:
        """The place in the data sent of the split's row `at`."""
        if self.rows is None or self.rows[at] < 0:
            return None
        return int(self.rows[at])

    def id(self, at: int) -> str | None:
        """The sender's id of the split's row `at`. Raises InvalidDatasetFile."""
        if self.ends is None or self.ids is None:
            return None
        begin, end = 0 if at == 0 else int(self.ends[at - 1]), int(self.ends[at])
        if not 0 <= begin <= end <= len(self.ids):
            raise InvalidDatasetFile("The ids of a dataset file are damaged.")
        try:
            return self.ids[begin:end].tobytes().decode() or None
        except UnicodeDecodeError as error:
            raise InvalidDatasetFile("The ids of a dataset file are damaged.") from error

    def only(self, kept: NDArray[np.bool_]) -> RowNames:
        """The names of those of the n rows where `kept` (n,) is true. Raises InvalidDatasetFile."""
        rows = np.full(np.count_nonzero(kept), -1, np.int64)
        if self.rows is not None:
            rows = self.rows[kept]
        if self.ends is None or self.ids is None:
            return RowNames(rows=rows)
        sizes = np.diff(self.ends, prepend=0)
        if len(sizes) and (sizes.min() < 0 or self.ends[-1] != len(self.ids)):
            raise InvalidDatasetFile("The ids of a dataset file are damaged.")
        content = self.ids if kept.all() else self.ids[np.repeat(kept, sizes)]
        return RowNames(rows=rows, ids=Ids(ends=np.cumsum(sizes[kept]), content=content.tobytes()))

    def places_of(self, ids: Collection[str]) -> Iterator[tuple[str, int]]:
        """(id, row in the split) of each row that has one of these ids."""
        if self.ends is None or self.ids is None:
            return
        wanted = {one.encode(): one for one in ids}
        sizes = np.diff(self.ends, prepend=0)
        # A row whose id has another length than all wanted ones is not looked at.
        possible = np.flatnonzero(np.isin(sizes, sorted({len(one) for one in wanted})))
        for at in possible.tolist():
            end = int(self.ends[at])
            found = wanted.get(self.ids[end - int(sizes[at]) : end].tobytes())
            if found is not None:
                yield found, at


def taken(ids: Ids | None, rows: NDArray[np.intp]) -> Ids | None:
    """The ids of only these rows, in their order."""
    if ids is None:
        return None
    bounds = list(pairwise([0, *ids.ends.tolist()]))
    content = [ids.content[slice(*bounds[row])] for row in rows.tolist()]
    ends = np.cumsum([len(one) for one in content], dtype=np.int64)
    return Ids(ends=ends, content=b"".join(content))

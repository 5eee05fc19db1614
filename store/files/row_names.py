"""What a stored row is called by who sent it: its place in what was sent, and its id if any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.errors import InvalidDatasetFile
from store.files.rows import Ids


@dataclass(frozen=True, kw_only=True)
class RowNames:
    """Of the n rows of a split: `rows` (n,) int64, each one's place in what was sent, from 0.

    `ids` are what the sender calls them; an empty one stands for none.
    """

    rows: NDArray[np.int64]
    ids: Ids | None = None

    @classmethod
    def joined(cls, parts: "Sequence[RowNames]") -> "RowNames":
        """Those of splits that become one, in this order; where some have no ids, theirs are empty.

        Places are counted on, as in the arrays put one behind the other.
        """
        if len(parts) == 1:
            return parts[0]
        starts = np.cumsum([0, *(len(one.rows) for one in parts[:-1])])
        rows = [one.rows + start for one, start in zip(parts, starts.tolist(), strict=True)]
        if all(one.ids is None for one in parts):
            return cls(rows=np.concatenate(rows))
        ids = [one.ids or Ids.of([""] * len(one.rows)) for one in parts]
        offsets = np.cumsum([0, *(len(one.content) for one in ids[:-1])])
        ends = [one.ends + offset for one, offset in zip(ids, offsets.tolist(), strict=True)]
        content = b"".join(one.content for one in ids)
        return cls(rows=np.concatenate(rows), ids=Ids(ends=np.concatenate(ends), content=content))

    def tensors(self) -> dict[str, NDArray[Any]]:
        """What a file keeps of them, by name; ids that are all empty are none."""
        kept: dict[str, NDArray[Any]] = {"rows": np.asarray(self.rows, "<i8")}
        if self.ids is not None and self.ids.content:
            kept["ends"] = np.asarray(self.ids.ends, "<i8")
            kept["ids"] = np.frombuffer(self.ids.content, np.uint8)
        return kept


@dataclass(frozen=True, kw_only=True)
class StoredNames:
    """The same as a file has them: arrays that are read only where they are asked for.

    Each is None where nothing is known: `rows` of data sets of before they were kept.
    """

    rows: NDArray[np.int64] | None = None
    ends: NDArray[np.int64] | None = None
    ids: NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> "StoredNames":
        """Those of `RowNames.tensors`."""
        return cls(rows=arrays.get("rows"), ends=arrays.get("ends"), ids=arrays.get("ids"))

    def row(self, at: int) -> int | None:
        """Where the row `at` of the split was in what was sent."""
        return None if self.rows is None else int(self.rows[at])

    def id(self, at: int) -> str | None:
        """What the sender calls it. Raises InvalidDatasetFile."""
        if self.ends is None or self.ids is None:
            return None
        begin, end = 0 if at == 0 else int(self.ends[at - 1]), int(self.ends[at])
        if not 0 <= begin <= end <= len(self.ids):
            raise InvalidDatasetFile("The ids of a dataset file are damaged.")
        try:
            return self.ids[begin:end].tobytes().decode() or None
        except UnicodeDecodeError as error:
            raise InvalidDatasetFile("The ids of a dataset file are damaged.") from error


def taken(ids: Ids | None, rows: NDArray[np.intp]) -> Ids | None:
    """The ids of these rows alone, in their order."""
    if ids is None:
        return None
    bounds = list(pairwise([0, *ids.ends.tolist()]))
    content = [ids.content[slice(*bounds[row])] for row in rows.tolist()]
    ends = np.cumsum([len(one) for one in content], dtype=np.int64)
    return Ids(ends=ends, content=b"".join(content))

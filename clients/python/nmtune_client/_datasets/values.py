"""Datasets and their splits, as the server describes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from nmtune_client._http.values import Json, build, known_in, member, time_of
from nmtune_client._show.reprs import Shown


@dataclass(frozen=True, kw_only=True, repr=False)
class Split(Shown):
    """One split of a dataset: `train`, `validation`, `test` or `ood/<domain>`."""

    name: str
    n_rows: int
    class_counts: Mapping[str, int] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, data: object) -> Self:
        return build(cls, known_in(cls, data))


@dataclass(frozen=True, kw_only=True, repr=False)
class Lineage(Shown):
    """What was changed to make a dataset of its parent: counts of rows, and a note."""

    parent_sha256: str | None = None
    n_relabelled: int = 0
    n_dropped: int = 0
    n_added: int = 0
    changed_splits: tuple[str, ...] = ()
    note: str | None = None

    @classmethod
    def from_json(cls, data: object) -> Self:
        changed = tuple(member(data, "changed_splits") or ())
        return build(cls, known_in(cls, data, changed_splits=changed))


@dataclass(frozen=True, kw_only=True, repr=False)
class Dataset(Shown):
    """Immutable embeddings with labels, kept by the server; `raw` is the answer as it came."""

    id: str
    name: str
    n_rows: int
    n_columns: int
    content: str | None = None
    """embeddings or texts."""
    classes: tuple[str, ...] = ()
    splits: tuple[Split, ...] = ()
    profile: Json = field(default_factory=dict, repr=False)
    warnings: tuple[Any, ...] = ()
    sha256: str | None = None
    size_bytes: int | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    parent_id: str | None = None
    """The dataset that it was made from by corrections or added rows; that one may be gone."""
    lineage: Lineage | None = None
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    def __eq__(self, other: object) -> bool:
        """Whether all that the server says of both is equal, whichever client they came by."""
        if not isinstance(other, Dataset):
            return NotImplemented
        names = [one.name for one in fields(Dataset) if one.compare]
        return all(getattr(self, name) == getattr(other, name) for name in names)

    @classmethod
    def from_json(cls, data: object) -> Self:
        known = known_in(
            cls,
            data,
            classes=tuple(member(data, "classes") or ()),
            splits=tuple(Split.from_json(item) for item in member(data, "splits") or ()),
            warnings=tuple(member(data, "warnings") or ()),
            created_at=time_of(data, "created_at"),
            expires_at=time_of(data, "expires_at"),
            lineage=None
            if member(data, "lineage") is None
            else Lineage.from_json(member(data, "lineage")),
        )
        return build(cls, known)


@dataclass(frozen=True, kw_only=True, repr=False)
class DatasetRow(Shown):
    """One stored row; `row` counts within its split, `file_row` in what was sent."""

    split: str
    row: int
    file_row: int | None = None
    id: str | None = None
    text: str | None = None
    label: str | None = None

    @classmethod
    def from_json(cls, data: object) -> Self:
        return build(cls, known_in(cls, data))

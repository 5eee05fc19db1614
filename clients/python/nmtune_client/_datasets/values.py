"""Datasets and their splits, as the server describes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    raw: Json = field(default_factory=dict, repr=False, compare=False)

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
        )
        return build(cls, known)

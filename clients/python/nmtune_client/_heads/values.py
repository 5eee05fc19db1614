"""Heads and their versions, as the server describes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from statistics import fmean
from typing import Any, Self

from nmtune_client._http.values import Json, build, known_in, member, time_of
from nmtune_client._names import ID_SPLIT, OOD_PREFIX
from nmtune_client._show.reprs import Shown


@dataclass(frozen=True, kw_only=True)
class HeadRef:
    """Names one immutable head version; `str()` gives the reference, `pets@3`."""

    name: str
    version: int

    @classmethod
    def from_json(cls, data: object) -> Self:
        return build(cls, known_in(cls, data))

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, kw_only=True, repr=False)
class HeadVersion(Shown):
    """One immutable version of a head; `str()` gives the reference, `pets@3`."""

    name: str
    version: int
    job_id: str | None = None
    dataset_id: str | None = None
    method: str | None = None
    n_columns: int | None = None
    n_parameters: int | None = None
    classes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    encoder: Json | None = None
    """The encoder of the texts it was trained on; None where it was trained on embeddings."""
    description: str | None = None
    """A note by its users, as are `tags`."""
    tags: Mapping[str, str] = field(default_factory=dict)
    config: Json = field(default_factory=dict, repr=False)
    metrics: Json = field(default_factory=dict, repr=False)
    lineage: Json = field(default_factory=dict, repr=False)
    sha256: str | None = None
    size_bytes: int | None = None
    created_at: datetime | None = None
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: object) -> Self:
        known = known_in(
            cls,
            data,
            classes=tuple(member(data, "classes") or ()),
            aliases=tuple(member(data, "aliases") or ()),
            tags=member(data, "tags") or {},
            created_at=time_of(data, "created_at"),
        )
        return build(cls, known)

    @property
    def accuracy(self) -> float | None:
        """On the in-domain test rows; None where there were none."""
        return _accuracy(self.metrics.get(ID_SPLIT))

    @property
    def mean_ood_accuracy(self) -> float | None:
        """The unweighted mean over the OOD splits; None where there were none."""
        found = [
            _accuracy(of) for split, of in self.metrics.items() if split.startswith(OOD_PREFIX)
        ]
        known = [value for value in found if value is not None]
        return fmean(known) if known else None

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, kw_only=True, repr=False)
class Head(Shown):
    """A named series of head versions, and the aliases that point into it."""

    name: str
    latest_version: int
    aliases: Mapping[str, int] = field(default_factory=dict)
    versions: tuple[HeadVersion, ...] = field(default=(), repr=False)
    created_at: datetime | None = None
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: object) -> Self:
        known = known_in(
            cls,
            data,
            aliases=member(data, "aliases") or {},
            versions=tuple(HeadVersion.from_json(item) for item in member(data, "versions") or ()),
            created_at=time_of(data, "created_at"),
        )
        return build(cls, known)

    @property
    def version(self) -> int:
        """The number of the latest version."""
        return self.latest_version

    @property
    def latest(self) -> HeadVersion | None:
        """The latest version itself."""
        return next((one for one in self.versions if one.version == self.latest_version), None)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True, repr=False)
class HeadAlias(Shown):
    """The version that an alias names, since when, and those that it named before, latest last.

    Each of `history` has `version` and `set_at`.
    """

    alias: str
    version: int
    set_at: datetime | None = None
    history: tuple[Mapping[str, Any], ...] = ()
    class_shares: Mapping[str, float] | None = None
    """What predictions by the alias are corrected to; None: nothing."""
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: object) -> Self:
        history = tuple(
            {"version": member(one, "version"), "set_at": time_of(one, "set_at")}
            for one in member(data, "history") or ()
        )
        known = known_in(cls, data, set_at=time_of(data, "set_at"), history=history)
        return build(cls, known)

    def __str__(self) -> str:
        return self.alias


@dataclass(frozen=True, kw_only=True, repr=False)
class Adaptation(Shown):
    """Whether adapting a head paid, and the version that was published if it did.

    `held_out` has the log loss `before` and `after` on rows held out in turn, the `gain` with its
    `gain_interval`, and `accuracy_before` and `accuracy_after`.
    """

    published: bool
    reason: str
    held_out: Mapping[str, Any] = field(default_factory=dict)
    version: HeadVersion | None = None
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: object) -> Self:
        version = member(data, "version")
        made = None if version is None else HeadVersion.from_json(version)
        return build(cls, known_in(cls, data, version=made))

    def __str__(self) -> str:
        return self.reason


def _accuracy(metrics: object) -> float | None:
    value = metrics.get("accuracy") if isinstance(metrics, Mapping) else None
    return float(value) if isinstance(value, int | float) else None

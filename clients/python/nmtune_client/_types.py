"""Home of the values the server sends: frozen dataclasses that ignore what they do not know."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from statistics import fmean
from typing import Any, Generic, Self, TypeVar

from nmtune_client._show.reprs import Shown

Json = Mapping[str, Any]
T = TypeVar("T")

FINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled"})


def _known(cls: type[Any], data: object, /, **converted: object) -> dict[str, Any]:
    """Arguments for `cls` out of a JSON object: what `cls` knows, `converted` first, the rest left.

    A newer server may send more than this client knows; a field that is required and missing, or
    an answer that is no object, raises ValueError (the caller makes it a `BadResponseError`).
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"expected an object for {cls.__name__}, got {type(data).__name__}")
    names = {spec.name for spec in fields(cls)}
    arguments: dict[str, Any] = {name: data[name] for name in names & data.keys()}
    arguments.update(converted)
    if "raw" in names:
        arguments["raw"] = data
    return arguments


def _build(cls: type[T], arguments: dict[str, Any]) -> T:
    try:
        return cls(**arguments)
    except TypeError as error:
        raise ValueError(str(error).replace("__init__()", "answer")) from error


def _time(data: object, name: str) -> datetime | None:
    value = data.get(name) if isinstance(data, Mapping) else None
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def _member(data: object, name: str) -> Any:
    return data.get(name) if isinstance(data, Mapping) else None


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    """One page of a listing; `next_cursor` is None on the last."""

    items: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True, repr=False)
class Split(Shown):
    """One split of a dataset: `train`, `validation`, `test` or `ood/<domain>`."""

    name: str
    n_rows: int
    class_counts: Mapping[str, int] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, data: object) -> Self:
        return _build(cls, _known(cls, data))


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
        known = _known(
            cls,
            data,
            classes=tuple(_member(data, "classes") or ()),
            splits=tuple(Split.from_json(item) for item in _member(data, "splits") or ()),
            warnings=tuple(_member(data, "warnings") or ()),
            created_at=_time(data, "created_at"),
            expires_at=_time(data, "expires_at"),
        )
        return _build(cls, known)


@dataclass(frozen=True, kw_only=True)
class HeadRef:
    """Names one immutable head version; `str()` gives the reference, `pets@3`."""

    name: str
    version: int

    @classmethod
    def from_json(cls, data: object) -> Self:
        return _build(cls, _known(cls, data))

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, kw_only=True, repr=False)
class Progress(Shown):
    """Where a running job is: `fraction` (0..1) and `eta_seconds` are of the whole job."""

    candidate: str | None = None
    epoch: int | None = None
    n_epochs: int | None = None
    losses: Mapping[str, float] = field(default_factory=dict)
    validation: Json | None = None
    fraction: float | None = None
    eta_seconds: float | None = None

    @classmethod
    def from_json(cls, data: object) -> Self:
        return _build(cls, _known(cls, data, losses=_member(data, "losses") or {}))


@dataclass(frozen=True, kw_only=True, repr=False)
class JobData(Shown):
    """A job as the server last described it; `Job` is the same, bound to its client."""

    id: str
    name: str
    status: str
    kind: str = "training"
    """training or prediction."""
    dataset_id: str | None = None
    method: str | None = None
    alias: str | None = None
    alias_always: bool = False
    alias_outcome: Json | None = None
    """Whether the alias moved (`moved`), why (`reason`) and what moves it (`command`)."""
    description: str | None = None
    """Noted of the head version that it publishes, as `tags` are."""
    tags: Mapping[str, str] = field(default_factory=dict)
    queue: str | None = None
    priority: int = 0
    stage: str | None = None
    progress: Progress | None = None
    config: Json = field(default_factory=dict, repr=False)
    encoder: Json | None = None
    """What embeds its texts; once it has, `usage` counts texts and tokens."""
    attempt: int = 0
    max_attempts: int | None = None
    waiting: Json | None = None
    """Why it does not go on at the moment: code, message, since, until."""
    error: Json | None = None
    head: HeadRef | None = None
    output: Json | None = None
    """Of a prediction that succeeded: format, n_rows, size_bytes, sha256."""
    cancel_requested_at: datetime | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: object) -> Self:
        progress, head = _member(data, "progress"), _member(data, "head")
        known = _known(
            cls,
            data,
            progress=Progress.from_json(progress) if progress else None,
            head=HeadRef.from_json(head) if head else None,
            config=_member(data, "config") or {},
            tags=_member(data, "tags") or {},
            **{
                name: _time(data, name)
                for name in ("cancel_requested_at", "created_at", "started_at", "finished_at")
            },
        )
        return _build(cls, known)

    @property
    def is_final(self) -> bool:
        """Whether the job has ended: succeeded, failed or cancelled."""
        return self.status in FINAL_STATUSES


@dataclass(frozen=True, kw_only=True, repr=False)
class Event(Shown):
    """One entry of a job's history, e.g. `job.progress`; `id` is where a stream can resume."""

    id: str
    type: str
    data: Json = field(default_factory=dict)
    created_at: datetime | None = None

    @classmethod
    def from_json(cls, data: object) -> Self:
        known = _known(
            cls, data, data=_member(data, "data") or {}, created_at=_time(data, "created_at")
        )
        return _build(cls, known)

    @property
    def is_final(self) -> bool:
        """Whether no event follows this one."""
        return self.type.removeprefix("job.") in FINAL_STATUSES


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
    """What embedded the texts that it learnt from; None where it learnt from embeddings."""
    description: str | None = None
    """What people noted of it, as `tags`."""
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
        known = _known(
            cls,
            data,
            classes=tuple(_member(data, "classes") or ()),
            aliases=tuple(_member(data, "aliases") or ()),
            tags=_member(data, "tags") or {},
            created_at=_time(data, "created_at"),
        )
        return _build(cls, known)

    @property
    def accuracy(self) -> float | None:
        """On the in-domain test rows; None where there were none."""
        return _accuracy(self.metrics.get("test"))

    @property
    def mean_ood_accuracy(self) -> float | None:
        """The unweighted mean over the OOD splits; None where there were none."""
        found = [_accuracy(of) for split, of in self.metrics.items() if split.startswith("ood/")]
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
        known = _known(
            cls,
            data,
            aliases=_member(data, "aliases") or {},
            versions=tuple(HeadVersion.from_json(item) for item in _member(data, "versions") or ()),
            created_at=_time(data, "created_at"),
        )
        return _build(cls, known)

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


def _accuracy(metrics: object) -> float | None:
    value = metrics.get("accuracy") if isinstance(metrics, Mapping) else None
    return float(value) if isinstance(value, int | float) else None

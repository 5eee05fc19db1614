"""Jobs and their events, as the server describes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from nmtune_client._heads.values import HeadRef
from nmtune_client._http.values import Json, build, known_in, member, time_of
from nmtune_client._show.reprs import Shown

FINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled"})


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
        return build(cls, known_in(cls, data, losses=member(data, "losses") or {}))


@dataclass(frozen=True, kw_only=True, repr=False)
class JobData(Shown):
    """A job as the server last described it; `Job` is the same, bound to its client."""

    id: str
    name: str
    status: str
    kind: str = "training"
    """training, prediction, or migration (of a head, by a bridge)."""
    dataset_id: str | None = None
    method: str | None = None
    paradigm: str | None = None
    """lora if it adapts the encoder too, black_box if not."""
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
    migration: Json | None = None
    """Of `heads.migrate`: from_version, and the way, refit or bridge; of a bridge what it found."""
    encoders: Json | None = None
    """The encoders that it compares (`compared`), and which one it goes on with (`chosen`)."""
    attempt: int = 0
    max_attempts: int | None = None
    waiting: Json | None = None
    """Why it does not go on at the moment: code, message, since, until."""
    error: Json | None = None
    head: HeadRef | None = None
    """What it published, from then on, however it ends; of a prediction who answers."""
    report_status: str | None = None
    """incomplete while its head is published but not compared, complete once it succeeded."""
    output: Json | None = None
    """Of a prediction that succeeded: format, n_rows, size_bytes, sha256."""
    cancel_requested_at: datetime | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: object) -> Self:
        progress, head = member(data, "progress"), member(data, "head")
        known = known_in(
            cls,
            data,
            progress=Progress.from_json(progress) if progress else None,
            head=HeadRef.from_json(head) if head else None,
            config=member(data, "config") or {},
            tags=member(data, "tags") or {},
            **{
                name: time_of(data, name)
                for name in ("cancel_requested_at", "created_at", "started_at", "finished_at")
            },
        )
        return build(cls, known)

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
        known = known_in(
            cls, data, data=member(data, "data") or {}, created_at=time_of(data, "created_at")
        )
        return build(cls, known)

    @property
    def is_final(self) -> bool:
        """Whether no event follows this one."""
        return self.type.removeprefix("job.") in FINAL_STATUSES

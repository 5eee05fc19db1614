"""The lease: a thread that keeps a claimed job ours and carries news both ways."""

import contextvars
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from store import failpoints, first_head, jobs, transitions
from store.database.connection import Transaction
from store.errors import DatabaseUnavailable, LeaseLost, StorageUnavailable
from store.events import EventType
from store.jobs import Job
from store.registry.heads import NewHeadVersion
from store.store import Store
from workers import metrics
from workers.attempt.noted import note_published
from workers.attempt.supervise import Ending

logger = logging.getLogger(__name__)

SHORTEST_PAUSE_SECONDS = 0.5  # between two heartbeats, however much news there is


@dataclass(frozen=True, kw_only=True)
class FirstHead:
    """The head of a training that goes on, and the report so far; the bytes are stored."""

    head: NewHeadVersion
    report_sha256: str


@dataclass
class _News:
    """What the next heartbeat must write, with each field's newest value."""

    stage: str | None = None
    progress: Mapping[str, Any] | None = None
    checkpoint: Mapping[str, str] | None = None
    superseded: set[str] = field(default_factory=set)
    events: list[tuple[EventType, Mapping[str, Any]]] = field(default_factory=list)
    is_milestone: bool = True  # the last of `events` must not be replaced by the next
    head: FirstHead | None = None
    n_before_head: int = 0  # of `events`

    def __bool__(self) -> bool:
        return bool(self.events) or self.checkpoint is not None


class Lease:
    """Renews a job's lease from its own thread while the `with` block runs.

    Reading the child, hashing files and waiting for a slow disk happen in other threads, so that
    they cannot cost us the job. While the database is away the lease counts as ours until a quarter
    of it is left. `ending` says whether the work has become pointless.
    """

    def __init__(
        self, store: Store, job: Job, *, lease_seconds: float, heartbeat_seconds: float
    ) -> None:
        """For a job claimed just now with the same `lease_seconds`."""
        self._store = store
        self._job = job
        self._lease_seconds = lease_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._expires_at = time.monotonic() + lease_seconds
        self._margin = lease_seconds / 4
        self._ending: Ending | None = None
        self._news = _News()
        self._lock = threading.Lock()
        self._something_new = threading.Event()
        self._closing = threading.Event()
        self._stages = metrics.StageClock(metrics.method_of(job))
        # In a copy of the context, so that the thread's log lines name the job too.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(
            target=run, args=(self._run,), name=f"lease-{job.id}", daemon=True
        )

    @property
    def ending(self) -> Ending | None:
        """CANCELLED or LEASE_LOST once that has happened, else None."""
        if self._ending is None and self.seconds_left() <= 0:
            logger.warning("lease.expired job_id=%s", self._job.id)
            metrics.LEASE_LOSSES.inc()
            self._ending = Ending.LEASE_LOST
        return self._ending

    def seconds_left(self) -> float:
        """How long we can still act as the owner without another heartbeat."""
        return self._expires_at - self._margin - time.monotonic()

    def enter_stage(self, stage: str) -> None:
        """Write the stage with the next heartbeat."""
        self._stages.enter(stage)
        with self._lock:
            self._news.stage = stage
            self._news.events.append((EventType.STAGE, {"stage": stage}))
            self._news.is_milestone = True
        self._something_new.set()

    def tell(self, progress: Mapping[str, Any], *, is_milestone: bool) -> None:
        """Write progress with the next heartbeat; later news may replace it unless a milestone."""
        with self._lock:
            if not self._news.is_milestone:
                self._news.events.pop()
            self._news.progress = progress
            self._news.events.append((EventType.PROGRESS, progress))
            self._news.is_milestone = is_milestone
        self._something_new.set()

    def keep(self, checkpoint: Mapping[str, str], *, superseded: Iterable[str] = ()) -> None:
        """Name these artifacts (file -> sha256) as the start of a next attempt.

        `superseded` ones are removed as soon as the row no longer names them: the checkpoints of
        one training would otherwise fill gigabytes until the garbage collection. A twin job that
        trains the same may have put the same bytes; if it misses them, it trains that candidate
        again, with the same result.
        """
        with self._lock:
            self._news.checkpoint = dict(checkpoint)
            self._news.superseded |= set(superseded) - set(checkpoint.values())
        self._something_new.set()

    def publish(self, first: FirstHead, checkpoint: Mapping[str, str]) -> None:
        """Publish the head with the next heartbeat; `checkpoint`, which names it too, as in `keep`.

        Both are written in one transaction: a later attempt knows a published head by its file.
        """
        with self._lock:
            self._news.checkpoint = dict(checkpoint)
            self._news.head = first
            self._news.n_before_head = len(self._news.events)
            self._news.is_milestone = True
        self._something_new.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stages.stop()
        self._closing.set()
        self._something_new.set()
        self._thread.join()
        if self._news and self._ending is not Ending.LEASE_LOST:
            self._beat()

    def _run(self) -> None:
        pause = min(SHORTEST_PAUSE_SECONDS, self._heartbeat_seconds)
        while not self._closing.is_set() and self._ending is not Ending.LEASE_LOST:
            self._beat()
            self._closing.wait(pause)
            self._something_new.wait(self._heartbeat_seconds - pause)
            self._something_new.clear()

    def _beat(self) -> None:
        with self._lock:
            news, self._news = self._news, _News()
        began = time.monotonic()
        try:
            with self._store.database.begin() as tx:
                is_cancelled = self._write(tx, news)
        except LeaseLost:
            logger.warning("lease.lost job_id=%s", self._job.id)
            metrics.LEASE_LOSSES.inc()
            self._ending = Ending.LEASE_LOST
        except DatabaseUnavailable as error:
            logger.warning("lease.heartbeat_failed job_id=%s reason=%s", self._job.id, error)
            metrics.HEARTBEAT_ERRORS.inc()
            self._put_back(news)
        else:
            self._expires_at = began + self._lease_seconds
            if is_cancelled and self._ending is None:
                self._ending = Ending.CANCELLED
            self._remove(news.superseded)
            if news.head is not None:
                failpoints.reach("run.head_published")

    def _write(self, tx: Transaction, news: _News) -> bool:
        """Write the news; return whether cancel was requested. Raises LeaseLost."""
        before, after = news.events, []
        if news.head is not None:
            before, after = news.events[: news.n_before_head], news.events[news.n_before_head :]
        is_cancelled = transitions.heartbeat(
            tx,
            self._job,
            lease_seconds=self._lease_seconds,
            stage=news.stage,
            progress=news.progress,
            checkpoint=news.checkpoint,
            events=before,
        )
        if news.head is None:
            return is_cancelled
        held = jobs.get(tx, self._job.tenant_id, self._job.id)
        published = first_head.publish(
            tx, self._job, head=news.head.head, report_sha256=news.head.report_sha256
        )
        note_published(tx, held, published)
        return transitions.heartbeat(tx, self._job, lease_seconds=self._lease_seconds, events=after)

    def _put_back(self, old: _News) -> None:
        with self._lock:
            new = self._news
            self._news = _News(
                stage=new.stage or old.stage,
                progress=new.progress or old.progress,
                checkpoint=old.checkpoint if new.checkpoint is None else new.checkpoint,
                superseded=old.superseded | new.superseded,
                events=old.events + new.events,
                is_milestone=new.is_milestone if new.events else old.is_milestone,
                head=old.head or new.head,
                n_before_head=old.n_before_head
                if old.head
                else len(old.events) + new.n_before_head,
            )

    def _remove(self, superseded: Iterable[str]) -> None:
        for sha256 in superseded:
            try:
                self._store.artifacts.delete(self._job.tenant_id, sha256)
            except StorageUnavailable as error:
                logger.warning("checkpoint.not_removed sha256=%s reason=%s", sha256, error)

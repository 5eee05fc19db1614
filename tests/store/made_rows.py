"""Make rows in a store, and look at the statements that it sends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import ClauseElement, Engine, event, update

from store import datasets, jobs, transitions
from store.access import tenants
from store.database import tables
from store.database.clock import seconds_from_now
from store.datasets import Dataset, Lineage
from store.jobs import Job
from store.registry.heads import NewHeadVersion
from store.store import Store


def new_head(
    *,
    name: str = "pets",
    sha256: str = "a" * 64,
    alias: str | None = None,
    advised_against_because: str | None = None,
) -> NewHeadVersion:
    """What a job would publish."""
    return NewHeadVersion(
        name=name,
        sha256=sha256,
        size_bytes=10,
        method="nmtune",
        n_columns=2,
        classes=["cat", "dög"],
        n_parameters=6,
        config={"epochs": 3},
        metrics={"test": {"accuracy": 0.5}},
        alias=alias,
        advised_against_because=advised_against_because,
    )


class Rows:
    """Makes rows, each in its own transaction, as the doors do."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def dataset(
        self,
        tenant_id: str = "default",
        *,
        name: str = "d",
        sha256: str = "d" * 64,
        lineage: Lineage | None = None,
    ) -> Dataset:
        with self._store.database.begin() as tx:
            if not tenants.is_there(tx, tenant_id):
                tenants.create(tx, tenant_id)
            return datasets.add(
                tx,
                tenant_id,
                name=name,
                sha256=sha256,
                size_bytes=24,
                n_rows=3,
                n_columns=2,
                classes=["cat", "dög"],
                splits=[{"name": "train", "n_rows": 3, "class_counts": [2, 1]}],
                profile={"norm_mean": 1.5},
                warnings=["few rows"],
                lineage=lineage,
            )

    def queued(
        self,
        tenant_id: str = "default",
        *,
        name: str = "pets",
        dataset: Dataset | None = None,
        alias: str | None = None,
        max_attempts: int = 3,
    ) -> Job:
        dataset = dataset or self.dataset(tenant_id)
        with self._store.database.begin() as tx:
            return jobs.submit(
                tx,
                tenant_id,
                name=name,
                dataset_id=dataset.id,
                method="nmtune",
                config={"epochs": 3},
                alias=alias,
                max_attempts=max_attempts,
            )

    def running(
        self, tenant_id: str = "default", *, lease_seconds: float = 60, max_attempts: int = 3
    ) -> Job:
        job = self.queued(tenant_id, max_attempts=max_attempts)
        return self.claimed(job, lease_seconds=lease_seconds)

    def claimed(self, job: Job, *, lease_seconds: float = 60, worker: str = "w1") -> Job:
        with self._store.database.begin() as tx:
            claimed = transitions.claim(tx, job.id, worker=worker, lease_seconds=lease_seconds)
        assert claimed is not None
        return claimed

    def succeeded(
        self,
        tenant_id: str = "default",
        *,
        name: str = "pets",
        alias: str | None = None,
        sha256: str = "a" * 64,
    ) -> Job:
        job = self.running(tenant_id)
        head = new_head(name=name, alias=alias, sha256=sha256)
        with self._store.database.begin() as tx:
            return transitions.succeed(tx, job, report_sha256="e" * 64, head=head)

    def expire(self, job: Job) -> None:
        """Let the job's lease have run out a second ago."""
        with self._store.database.begin() as tx:
            tx.execute(
                update(tables.jobs)
                .where(tables.jobs.c.id == job.id, tables.jobs.c.status == "running")
                .values(lease_expires_at=seconds_from_now(-1))
            )

    def read(self, job: Job) -> Job:
        with self._store.database.read() as tx:
            return jobs.get(tx, job.tenant_id, job.id)


def flip(path: Path, at: int = -1) -> None:
    """Change one byte of a stored file in place: inode, size and times stay."""
    before = path.stat()
    at %= before.st_size
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(at)
        [byte] = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    path.chmod(0o400)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@contextmanager
def clock_ahead(seconds: float) -> Iterator[None]:
    """Let every database's clock be so much ahead meanwhile (behind, if negative)."""

    def shift(
        _connection: object, _cursor: object, sql: str, parameters: object, *_: object
    ) -> tuple[str, object]:
        sql = sql.replace("'now'", f"'now', '{seconds:+} seconds'")
        shifted = f"(statement_timestamp() + make_interval(secs => {seconds}))"
        return sql.replace("statement_timestamp()", shifted), parameters

    event.listen(Engine, "before_cursor_execute", shift, retval=True)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", shift)


class Statement(NamedTuple):
    """One SQL statement as it was sent."""

    sql: str
    parameters: Any


@contextmanager
def statements() -> Iterator[list[Statement]]:
    """The SQL statements sent to any database meanwhile, BEGIN aside."""
    seen: list[Statement] = []

    def note(
        _connection: object, _cursor: object, sql: str, parameters: object, *_: object
    ) -> None:
        if not sql.startswith("BEGIN"):
            seen.append(Statement(sql, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


class Clause(NamedTuple):
    """One statement before it was compiled, and the names of the values given beside it."""

    clause: ClauseElement
    keys: tuple[str, ...]


@contextmanager
def clauses() -> Iterator[list[Clause]]:
    """The statements executed on any database meanwhile, before they were compiled."""
    seen: list[Clause] = []

    def note(_connection: object, clause: object, many: Any, one: Any, _options: object) -> None:
        if isinstance(clause, ClauseElement):
            seen.append(Clause(clause, tuple((many or [one])[0])))

    event.listen(Engine, "before_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_execute", note)

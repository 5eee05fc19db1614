"""The doctor's checks of what a server talks to: database, artifact storage, broker."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import migrations
from store.database import examination
from store.database.connection import Database
from store.database.examination import PostgresqlServer
from store.errors import StoreError
from store.settings import StoreSettings
from store.store import Store
from workers.doorbell import broker

OLDEST_POSTGRESQL = 14
FEWEST_PROCESSES = 2  # an API and a worker
CLOCK_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that the doctor examined; `advice` says what to do unless it is ok."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        return asdict(self)

    def __str__(self) -> str:
        advice = f"\n       {self.advice}" if self.advice else ""
        return f"{self.status:<4}  {self.name}: {self.detail}{advice}"


def database(settings: StoreSettings) -> Iterator[Finding]:
    """Check the database's schema, version, connections and clock."""
    try:
        opened = Database.open(settings.database_url)
    except (StoreError, OSError) as error:
        yield _unreachable(error)
        return
    try:
        yield _schema(opened.schema_revision())
        warning = opened.sqlite_version_warning()
        if warning is not None:
            detail, _, advice = warning.partition(". ")
            yield Finding(name="sqlite", status="warn", detail=f"{detail}.", advice=advice)
        server = examination.postgresql_server(opened)
        if server is not None:
            yield version(server)
            yield connections(server, pool_size=settings.database_pool_size)
        yield clock(examination.clock_difference_seconds(opened))
    except StoreError as error:
        yield _unreachable(error)
    finally:
        opened.close()


def artifacts(settings: StoreSettings) -> Finding:
    """Check that bytes can be stored."""
    try:
        store = Store.open(settings)
        try:
            store.artifacts.check()
        finally:
            store.close()
    except (StoreError, OSError) as error:
        return Finding(
            name="artifacts",
            status="fail",
            detail=str(error),
            advice="Check that this user may write there; for a bucket NMTUNE_ARTIFACTS_URL, the "
            "NMTUNE_S3_ settings and the key's rights: docs/run/object-storage.md has them all.",
        )
    return Finding(name="artifacts", status="ok", detail="writable")


def message_broker(url: str | None) -> Finding | None:
    """Check that the broker answers; None without one. Shows its address, not its password."""
    if url is None:
        return None
    try:
        place = broker.ask(url)
    except ValueError:
        return Finding(
            name="broker",
            status="fail",
            detail="NMTUNE_BROKER_URL is not a Redis URL",
            advice="Write it as redis://:PASSWORD@HOST:6379/0.",
        )
    except broker.BrokerAway as error:
        return Finding(
            name="broker",
            status="warn",
            detail=str(error),
            advice="Jobs are safe without it but start a little later. Check that the broker runs, "
            "and check NMTUNE_BROKER_URL with its password.",
        )
    return Finding(name="broker", status="ok", detail=f"{place} answers")


def _unreachable(error: Exception) -> Finding:
    return Finding(
        name="database",
        status="fail",
        detail=str(error),
        advice="Check NMTUNE_DATABASE_URL, that the database runs, and that this user may connect.",
    )


def _schema(revision: str | None) -> Finding:
    head = migrations.head_revision()
    if revision == head:
        return Finding(name="database", status="ok", detail=f"reachable, at schema {head}")
    if revision is None:
        return Finding(
            name="database",
            status="warn",
            detail="reachable, but without a schema yet",
            advice="`nmtune-server up` makes it; run `migrate` before `api` and `worker`.",
        )
    pending = migrations.pending(revision)
    if pending is None:
        return Finding(
            name="database",
            status="fail",
            detail=f"at schema {revision}, which this version does not know; it needs {head}",
            advice="A newer version has migrated it: run that version, or restore the backup from "
            "before the migration.",
        )
    return Finding(
        name="database",
        status="fail",
        detail=f"at schema {revision}, {len(pending)} migrations before {head}",
        advice="Make a backup, then run `nmtune-server migrate`.",
    )


def version(server: PostgresqlServer) -> Finding:
    """Check that the server's version still gets fixes."""
    if server.major >= OLDEST_POSTGRESQL:
        return Finding(name="postgresql", status="ok", detail=f"version {server.version}")
    return Finding(
        name="postgresql",
        status="warn",
        detail=f"version {server.version} is no longer maintained",
        advice=f"Use PostgreSQL {OLDEST_POSTGRESQL} or later.",
    )


def connections(server: PostgresqlServer, *, pool_size: int) -> Finding:
    """Compare the server's limit with our processes' pools, each of `pool_size`."""
    n_processes = server.max_connections // pool_size
    detail = (
        f"{server.n_open} of {server.max_connections} open; each process takes up to {pool_size}, "
        f"so there is room for {n_processes}"
    )
    if n_processes >= FEWEST_PROCESSES:
        return Finding(name="connections", status="ok", detail=detail)
    return Finding(
        name="connections",
        status="warn",
        detail=detail,
        advice=f"Raise PostgreSQL's max_connections to {pool_size} for each API and worker "
        "process, or lower NMTUNE_DATABASE_POOL_SIZE.",
    )


def clock(difference: float) -> Finding:
    """Judge a database clock that is `difference` seconds ahead."""
    if abs(difference) <= CLOCK_SECONDS:
        return Finding(name="clock", status="ok", detail="agrees with the database's clock")
    way = "ahead of" if difference > 0 else "behind"
    return Finding(
        name="clock",
        status="warn",
        detail=f"the database's clock is {abs(difference):.0f} s {way} this machine's",
        advice="Leases only use the database's clock, but times in logs and API will not match. "
        "Synchronise both machines (chrony, systemd-timesyncd).",
    )

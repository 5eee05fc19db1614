"""The home of `nmtune-server doctor`: is everything in place, and if not, what to do."""

import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import migrations
from service.settings import ServiceSettings
from store.database import Database
from store.errors import StoreError
from store.store import open_artifacts
from workers import machine
from workers.settings import WorkerSettings

OLDEST_PYTHON = (3, 11)
GIB = 1 << 30
LITTLE_SPACE = 5 * GIB
TOO_LITTLE_SPACE = GIB // 2


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at; `advice` says what to do unless it is ok."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        return asdict(self)

    def __str__(self) -> str:
        advice = f"\n       {self.advice}" if self.advice else ""
        return f"{self.status:<4}  {self.name}: {self.detail}{advice}"


def examine(service: ServiceSettings, workers: WorkerSettings) -> list[Finding]:
    """Look at everything a server needs.

    Nothing is changed, but the data folder is made and a few bytes are written to a bucket.
    """
    return [
        _python(),
        _device(workers),
        _data_dir(service),
        _disk_space(service),
        *_bucket(service),
        *_database(service),
        _port(service),
    ]


def _python() -> Finding:
    version = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        advice = f"Install Python {oldest} or later."
        return Finding(name="python", status="fail", detail=version, advice=advice)
    return Finding(name="python", status="ok", detail=version)


def _device(settings: WorkerSettings) -> Finding:
    try:
        return Finding(name="training", status="ok", detail=machine.describe(settings.device))
    except RuntimeError as error:
        return Finding(
            name="training",
            status="fail",
            detail=str(error),
            advice="Set NMTUNE_DEVICE to auto, or make the GPU visible to torch.",
        )


def _data_dir(settings: ServiceSettings) -> Finding:
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"nmtune")
    except OSError as error:
        return Finding(
            name="data folder",
            status="fail",
            detail=f"{folder} cannot be written: {error.strerror or error}",
            advice="Choose another folder with --data-dir, or give this user the right to write.",
        )
    return Finding(name="data folder", status="ok", detail=f"{folder} can be written")


def _disk_space(settings: ServiceSettings) -> Finding:
    # os.path.exists, for Path.exists raises where the folder may not even be looked at.
    folders = (settings.data_dir, *settings.data_dir.parents)
    folder = next(path for path in folders if os.path.exists(path))  # noqa: PTH110
    free = shutil.disk_usage(folder).free
    detail = f"{free / GIB:.1f} GiB free"
    if free >= LITTLE_SPACE:
        return Finding(name="disk space", status="ok", detail=detail)
    return Finding(
        name="disk space",
        status="warn" if free >= TOO_LITTLE_SPACE else "fail",
        detail=detail,
        advice="Data sets, checkpoints and heads need room: free some, or move --data-dir.",
    )


def _bucket(settings: ServiceSettings) -> Iterator[Finding]:
    if settings.artifacts_url is None:
        return  # the artifacts are in the data folder, or in one that is made when it is opened
    try:
        open_artifacts(settings).check()
    except StoreError as error:
        yield Finding(
            name="object storage",
            status="fail",
            detail=str(error),
            advice="Check NMTUNE_ARTIFACTS_URL, the NMTUNE_S3_ settings and the key's rights: "
            "docs/object-storage.md has them all.",
        )
    else:
        detail = f"{settings.artifacts_url} can be written"
        yield Finding(name="object storage", status="ok", detail=detail)


def _database(settings: ServiceSettings) -> Iterator[Finding]:
    try:
        database = Database.open(settings.database_url)
    except (StoreError, OSError) as error:
        yield _unreachable(error)
        return
    try:
        yield _schema(database.schema_revision())
        warning = database.sqlite_version_warning()
        if warning is not None:
            detail, _, advice = warning.partition(". ")
            yield Finding(name="sqlite", status="warn", detail=f"{detail}.", advice=advice)
    except StoreError as error:
        yield _unreachable(error)
    finally:
        database.close()


def _unreachable(error: Exception) -> Finding:
    return Finding(
        name="database",
        status="fail",
        detail=str(error),
        advice="Check NMTUNE_DATABASE_URL, and that the database runs and lets this user in.",
    )


def _schema(revision: str | None) -> Finding:
    head = migrations.head_revision()
    if revision == head:
        return Finding(name="database", status="ok", detail=f"reachable, at schema {head}")
    if revision is None:
        return Finding(
            name="database",
            status="warn",
            detail="reachable, without a schema yet",
            advice="`nmtune-server up` makes it; before `api` and `worker` run `migrate`.",
        )
    return Finding(
        name="database",
        status="fail",
        detail=f"at schema {revision}, this version needs {head}",
        advice="Make a backup, then run `nmtune-server migrate`.",
    )


def _port(settings: ServiceSettings) -> Finding:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    place = f"{settings.host}:{settings.port}"
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        return Finding(
            name="port",
            status="warn",
            detail=f"{place} cannot be listened on: {error.strerror or error}",
            advice="If that is not a running nmtune-server, choose another port with --port.",
        )
    return Finding(name="port", status="ok", detail=f"{place} is free")

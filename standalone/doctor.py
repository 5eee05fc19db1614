"""`nmtune-server doctor`: check what a server needs, and say what to do about it."""

import os
import platform
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from service.access.openid import OpenId
from service.hosts import is_loopback
from service.http.errors import Problem
from service.listen.tls import Certificate, CertificateError
from service.providers import access
from service.settings import ServiceSettings
from standalone import doctor_services
from standalone.doctor_services import Finding
from workers import machine, memory
from workers.settings import WorkerSettings

OLDEST_PYTHON = (3, 11)
GIB = 1 << 30
LITTLE_SPACE = 5 * GIB
TOO_LITTLE_SPACE = GIB // 2
LITTLE_MEMORY = 2 * GIB
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


def examine(service: ServiceSettings, workers: WorkerSettings) -> list[Finding]:
    """Check everything that a server needs.

    It only makes the data folder and writes a few bytes to a bucket.
    """
    broker_url = workers.broker_url.get_secret_value() if workers.broker_url else None
    broker = doctor_services.message_broker(broker_url)
    return [
        _python(),
        _device(workers),
        _memory(),
        _data_dir(service),
        _disk_space(service),
        *doctor_services.database(service),
        doctor_services.artifacts(service),
        *([broker] if broker else []),
        _local_provider(),
        _port(service),
        *_tls(service),
        _keys(service),
        *_sign_in(service),
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
        found = machine.describe(settings.device)
    except RuntimeError as error:
        return Finding(
            name="training",
            status="fail",
            detail=str(error),
            advice="Set NMTUNE_DEVICE=auto, or make the GPU visible to torch.",
        )
    if settings.device == "auto" and " on cpu " in found and NVIDIA_DRIVER.exists():
        return Finding(
            name="training",
            status="warn",
            detail=f"{found}, although this machine has an NVIDIA driver",
            advice="Install a CUDA build of torch, or set NMTUNE_DEVICE=cpu if that is intended.",
        )
    return Finding(name="training", status="ok", detail=found)


def _memory() -> Finding:
    found = memory.available_bytes()
    if found is None:
        return Finding(name="memory", status="ok", detail="unknown on this system")
    detail = f"{found / GIB:.1f} GiB available"
    if found >= LITTLE_MEMORY:
        return Finding(name="memory", status="ok", detail=detail)
    return Finding(
        name="memory",
        status="warn",
        detail=detail,
        advice="A training needs 1 GiB and three times its embeddings: see docs/run/operations.md.",
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
            detail=f"{folder} is not writable: {error.strerror or error}",
            advice="Make it writable for this user, or choose another folder with --data-dir.",
        )
    return Finding(name="data folder", status="ok", detail=f"{folder} is writable")


def _disk_space(settings: ServiceSettings) -> Finding:
    # os.path.exists, because Path.exists raises for a folder without permission.
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
        advice="Datasets, checkpoints and heads need space: free some, or move --data-dir.",
    )


def _local_provider() -> Finding:
    lacking = access.local_provider_lacks()
    if lacking is not None:
        return Finding(
            name="local-minilm",
            status="warn",
            detail="not installed; jobs with this provider are refused",
            advice=lacking,
        )
    return Finding(
        name="local-minilm", status="ok", detail="installed; it embeds texts on this machine"
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
            detail=f"cannot listen on {place}: {error.strerror or error}",
            advice="If no nmtune-server is running there, choose another port with --port.",
        )
    return Finding(name="port", status="ok", detail=f"{place} is free")


def _tls(settings: ServiceSettings) -> list[Finding]:
    """Whether the certificate can be used, if there is one."""
    if settings.tls_cert is None or settings.tls_key is None:
        return []
    try:
        Certificate(settings.tls_cert, settings.tls_key)
    except CertificateError as error:
        return [
            Finding(
                name="tls",
                status="fail",
                detail=str(error),
                advice="See docs/run/configuration.md for what the two files must hold.",
            )
        ]
    return [Finding(name="tls", status="ok", detail=f"{settings.tls_cert} and its key can be used")]


def _sign_in(settings: ServiceSettings) -> list[Finding]:
    """Whether the company's identity provider answers, if there is one."""
    if settings.openid is None:
        return []
    openid = OpenId(settings.openid)
    try:
        openid.look()
    except Problem as problem:
        return [
            Finding(
                name="sign-in",
                status="warn",
                detail=problem.detail,
                advice="Check NMTUNE_OIDC_ISSUER and the way to it; keys work meanwhile.",
            )
        ]
    finally:
        openid.close()
    return [Finding(name="sign-in", status="ok", detail=f"{settings.oidc_issuer} answers")]


def _keys(settings: ServiceSettings) -> Finding:
    if settings.keys_on:
        return Finding(name="keys", status="ok", detail="every request needs a key")
    if is_loopback(settings.host):
        return Finding(name="keys", status="ok", detail="none needed: only this machine can ask")
    return Finding(
        name="keys",
        status="warn",
        detail=f"off, although others reach {settings.host}: they may do everything",
        advice="Unset NMTUNE_AUTH, then make a key: nmtune-server keys create NAME --scopes admin.",
    )

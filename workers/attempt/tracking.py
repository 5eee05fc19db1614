"""Log a training that has succeeded to an MLflow server, through its REST API.

The job has ended by then, so nothing here can fail it. A training is logged once or, if the server
is away or the worker dies, not at all.
"""

import base64
import logging
import re
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import orjson

from outbound.documents import Documents, NoDocument
from outbound.shared_report import without_rows
from store.jobs import Job
from store.registry import heads
from store.registry.heads import HeadVersion
from store.store import Store
from workers.settings import WorkerSettings

REPORT: Final = "report.json"

# Of MLflow, for one request.
_MOST_METRICS: Final = 900  # with the parameters at most 1000
_MOST_PARAMS: Final = 100
_MOST_CHARACTERS: Final = 6000
_NOT_IN_A_PART: Final = re.compile(r"[^A-Za-z0-9_. :-]|^\.+\Z")
_PROXIED: Final = "mlflow-artifacts"

logger = logging.getLogger(__name__)


class NotLogged(Exception):  # noqa: N818  as NoDocument
    """The server did not take it; the message says why."""


def log(job: Job, *, store: Store, settings: WorkerSettings) -> None:
    """Log the training's settings, figures and report as one run; a warning if that fails."""
    try:
        with store.database.read() as tx:
            version = heads.version(
                tx, job.tenant_id, str(job.head_name), int(job.head_version or 0)
            )
        report = store.artifacts.get_bytes(job.tenant_id, str(job.report_sha256))
        server = _Server(settings)
        try:
            run_id = _log(job, version, report, server, settings.mlflow_experiment)
        finally:
            server.close()
    except (NoDocument, NotLogged) as error:
        logger.warning("job.not_tracked job_id=%s reason=%s", job.id, error)
    except Exception:
        logger.exception("job.not_tracked job_id=%s", job.id)
    else:
        logger.info("job.tracked job_id=%s run_id=%s", job.id, run_id)


def _log(job: Job, version: HeadVersion, report: bytes, server: "_Server", experiment: str) -> str:
    run = server.call(
        "POST",
        "runs/create",
        {
            "experiment_id": _experiment_id(server, experiment),
            "run_name": f"{version.name}@{version.version}",
            "start_time": _milliseconds(job.started_at or job.created_at),
            "tags": _pairs(_tags(job, version)),
        },
    )["run"]["info"]
    run_id = str(run["run_id"])
    at = _milliseconds(job.finished_at or job.updated_at)
    metrics = [
        {"key": key, "value": value, "timestamp": at, "step": 0}
        for key, value in _metrics(version).items()
    ]
    params = list(_pairs(_params(job, version)))
    server.call(
        "POST",
        "runs/log-batch",
        {
            "run_id": run_id,
            "metrics": metrics[:_MOST_METRICS],
            "params": params[:_MOST_PARAMS],
        },
    )
    place = urlsplit(str(run["artifact_uri"]))
    if place.scheme == _PROXIED:
        path = quote(f"{place.path.strip('/')}/{REPORT}")
        server.send("PUT", f"{_PROXIED}/artifacts/{path}", without_rows(report))
    else:
        logger.warning("job.report_not_tracked job_id=%s scheme=%s", job.id, place.scheme)
    server.call("POST", "runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": at})
    return run_id


def _experiment_id(server: "_Server", name: str) -> str:
    path = f"experiments/get-by-name?experiment_name={quote(name, safe='')}"
    found = server.call("GET", path, may_be_missing=True)
    if not found:
        try:
            return str(server.call("POST", "experiments/create", {"name": name})["experiment_id"])
        except NotLogged:  # another worker made it at this moment, or it cannot be made
            found = server.call("GET", path)
    return str(found["experiment"]["experiment_id"])


def _tags(job: Job, version: HeadVersion) -> dict[str, object]:
    return {
        "mlflow.source.name": "nmtune",
        "mlflow.note.content": job.description,
        "nmtune.tenant": job.tenant_id,
        "nmtune.job_id": job.id,
        "nmtune.dataset_id": job.dataset_id,
        "nmtune.head": f"{version.name}@{version.version}",
        "nmtune.head_sha256": version.sha256,
        "nmtune.tags": orjson.dumps(job.tags).decode() if job.tags else None,
    }


def _params(job: Job, version: HeadVersion) -> dict[str, object]:
    encoder = version.encoder or {}
    return {
        "method": job.method,
        "published_method": version.method,
        "n_columns": version.n_columns,
        "n_classes": len(version.classes),
        "n_parameters": version.n_parameters,
        "dataset_sha256": version.dataset_sha256,
        "encoder": encoder.get("model"),
        **{f"config.{name}": value for name, value in version.config.items()},
    }


def _metrics(version: HeadVersion) -> dict[str, float]:
    """`test/accuracy`, `ood/web/accuracy` and the like, by names that MLflow takes."""
    return {
        f"{'/'.join(map(_part, split.split('/', 1)))[:200]}/{name}": value
        for split, figures in version.metrics.items()
        for name, value in figures.items()
        if isinstance(value, int | float)
    }


def _part(name: str) -> str:
    """A part of a path, with the code in place of what MLflow refuses or reads as another path."""
    return _NOT_IN_A_PART.sub(lambda found: "".join(f"_{ord(one):x}_" for one in found[0]), name)


def _pairs(values: Mapping[str, object]) -> list[dict[str, str]]:
    return [
        {"key": key, "value": text[:_MOST_CHARACTERS]}
        for key, value in values.items()
        if value is not None
        for text in [value if isinstance(value, str) else orjson.dumps(value).decode()]
    ]


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


class _Server:
    """MLflow's REST API at one address, asked through the outbound guard."""

    def __init__(self, settings: WorkerSettings) -> None:
        assert settings.mlflow_tracking_uri is not None  # noqa: S101
        place = urlsplit(settings.mlflow_tracking_uri.get_secret_value())
        host, port = str(place.hostname), place.port or (443 if place.scheme == "https" else 80)
        shown = f"[{host}]" if ":" in host else host
        self._base = f"{place.scheme}://{shown}:{port}{place.path.rstrip('/')}/api/2.0"
        self._headers = {"Content-Type": "application/json"}
        if settings.mlflow_tracking_token is not None:
            token = settings.mlflow_tracking_token.get_secret_value()
            self._headers["Authorization"] = f"Bearer {token}"
        elif place.username is not None:
            pair = f"{unquote(place.username)}:{unquote(place.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        self._documents = Documents([(host, port)])

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        may_be_missing: bool = False,
    ) -> dict[str, Any]:
        """The answer's JSON, {} for a 404 that may be. Raises NoDocument, NotLogged."""
        sent = None if body is None else orjson.dumps(body)
        answer = self.send(method, f"mlflow/{path}", sent, may_be_missing=may_be_missing)
        try:
            found: dict[str, Any] = orjson.loads(answer or b"{}")
        except orjson.JSONDecodeError as error:
            raise NotLogged(f"{path} was answered by something that is no JSON") from error
        return found

    def send(
        self, method: str, path: str, body: bytes | None, *, may_be_missing: bool = False
    ) -> bytes:
        """The answer's bytes, none for a 404 that may be. Raises NoDocument, NotLogged."""
        status, answer = self._documents.ask(method, f"{self._base}/{path}", body, self._headers)
        if status == HTTPStatus.NOT_FOUND and may_be_missing:
            return b""
        if status != HTTPStatus.OK:
            said = " ".join(answer[:200].decode(errors="replace").split())
            raise NotLogged(f"{path.partition('?')[0]} was answered with {status}: {said}")
        return answer

    def close(self) -> None:
        """Close its connections."""
        self._documents.close()

"""Home of every request this client makes and how its answer is read; no I/O."""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from nmtune_client._datasets.arrays import Embeddings
from nmtune_client._datasets.files import Reading, media_type
from nmtune_client._http.wire import Answer, Call, Route
from nmtune_client._jobs.plan import Plan
from nmtune_client._predict.answers import BINARY, Options, Part, read_part
from nmtune_client._report.report import Report
from nmtune_client._types import Dataset, Event, Head, HeadVersion, JobData, Page

T = TypeVar("T")

_UPLOAD_DATASET = Route("POST", "/datasets")
_LIST_DATASETS = Route("GET", "/datasets")
_GET_DATASET = Route("GET", "/datasets/{dataset_id}")
_KEEP_DATASET = Route("PATCH", "/datasets/{dataset_id}")
_DELETE_DATASET = Route("DELETE", "/datasets/{dataset_id}")
_CREATE_JOB = Route("POST", "/jobs")
_LIST_JOBS = Route("GET", "/jobs")
_GET_JOB = Route("GET", "/jobs/{job_id}")
_CANCEL_JOB = Route("POST", "/jobs/{job_id}/cancel")
_LIST_EVENTS = Route("GET", "/jobs/{job_id}/events")
_GET_REPORT = Route("GET", "/jobs/{job_id}/report")
_CREATE_PREDICTION = Route("POST", "/predictions")
_GET_OUTPUT = Route("GET", "/jobs/{job_id}/output")
_DELETE_OUTPUT = Route("DELETE", "/jobs/{job_id}/output")
_LIST_HEADS = Route("GET", "/heads")
_GET_HEAD = Route("GET", "/heads/{name}")
_GET_HEAD_VERSION = Route("GET", "/heads/{name}/versions/{version}")
_SET_ALIAS = Route("PUT", "/heads/{name}/aliases/{alias}")
_PREDICT = Route("POST", "/predict")
_SET_PROVIDER_KEY = Route("PUT", "/provider-keys")
_LIST_PROVIDER_KEYS = Route("GET", "/provider-keys")
_DELETE_PROVIDER_KEY = Route("DELETE", "/provider-keys")

# For the test that compares this client with the server's OpenAPI description.
ROUTES = tuple(value for value in list(globals().values()) if isinstance(value, Route))

# The server answers an upload once it has read and checked each row.
_UPLOAD_READ_SECONDS = 600.0


def upload_dataset(
    path: Path,
    *,
    name: str | None = None,
    reading: Reading | None = None,
    keep_seconds: int | None = None,
    idempotency_key: str | None = None,
) -> Call[Dataset]:
    """Send the bytes of a dataset file; `reading` says what its columns mean."""
    read = reading or Reading()
    kind = media_type(path, unlabelled=bool(read.unlabelled))
    return Call(
        route=_UPLOAD_DATASET,
        parse=_parser(Dataset.from_json),
        params=_params(name=name, keep_seconds=keep_seconds) | read.params(),
        headers=_post_headers(kind, idempotency_key),
        file=path,
        extra_read_seconds=_UPLOAD_READ_SECONDS,
    )


def list_datasets(*, cursor: str | None = None, limit: int | None = None) -> Call[Page[Dataset]]:
    """One page of datasets, newest first."""
    return Call(
        route=_LIST_DATASETS,
        parse=_page_of(Dataset.from_json),
        params=_params(cursor=cursor, limit=limit),
    )


def get_dataset(dataset_id: str) -> Call[Dataset]:
    """One dataset."""
    ids = {"dataset_id": dataset_id}
    return Call(route=_GET_DATASET, ids=ids, parse=_parser(Dataset.from_json))


def keep_dataset(dataset_id: str, keep_seconds: int | None) -> Call[Dataset]:
    """Let a dataset expire that long from now, or never."""
    return Call(
        route=_KEEP_DATASET,
        ids={"dataset_id": dataset_id},
        parse=_parser(Dataset.from_json),
        headers={"Content-Type": "application/json"},
        content=_body({"keep_seconds": keep_seconds}),
    )


def delete_dataset(dataset_id: str) -> Call[None]:
    """Delete a dataset, rows and bytes."""
    return Call(route=_DELETE_DATASET, ids={"dataset_id": dataset_id}, parse=_nothing)


def create_job(
    data: Mapping[str, object], *, wait: int | None = None, idempotency_key: str | None = None
) -> Call[JobData]:
    """Submit a job; `wait`: seconds the server may hold the answer until the job has ended."""
    headers = _post_headers("application/json", idempotency_key)
    if wait is not None:
        headers["Prefer"] = f"wait={wait}"
    return Call(
        route=_CREATE_JOB,
        parse=_parser(JobData.from_json),
        headers=headers,
        content=_body({name: value for name, value in data.items() if value is not None}),
        extra_read_seconds=wait or 0,
    )


def plan_job(data: Mapping[str, object]) -> Call[Plan]:
    """Ask what a job would do; nothing is stored."""
    return Call(
        route=_CREATE_JOB,
        parse=lambda answer: Plan(answer.json()),
        params={"plan": "true"},
        headers={"Content-Type": "application/json"},
        content=_body({name: value for name, value in data.items() if value is not None}),
    )


def list_jobs(
    *, cursor: str | None = None, limit: int | None = None, status: str | None = None
) -> Call[Page[JobData]]:
    """One page of jobs, newest first."""
    return Call(
        route=_LIST_JOBS,
        parse=_page_of(JobData.from_json),
        params=_params(cursor=cursor, limit=limit, status=status),
    )


def get_job(job_id: str) -> Call[JobData]:
    """One job."""
    return Call(route=_GET_JOB, ids={"job_id": job_id}, parse=_parser(JobData.from_json))


def cancel_job(job_id: str) -> Call[JobData]:
    """Ask that a job be cancelled."""
    return Call(
        route=_CANCEL_JOB,
        ids={"job_id": job_id},
        parse=_parser(JobData.from_json),
        headers=_post_headers(None),
    )


def list_events(
    job_id: str, *, after: str | None = None, limit: int | None = None
) -> Call[Page[Event]]:
    """One page of a job's events, oldest first, behind the event `after`."""
    return Call(
        route=_LIST_EVENTS,
        ids={"job_id": job_id},
        parse=_page_of(Event.from_json),
        params=_params(after=after, limit=limit),
        headers={"Accept": "application/json"},
    )


def stream_events(job_id: str, *, after: str | None = None) -> Call[None]:
    """The same events as a stream, to be opened, not sent."""
    resume = {"Last-Event-ID": after} if after else {}
    return Call(
        route=_LIST_EVENTS,
        ids={"job_id": job_id},
        parse=_nothing,
        headers={"Accept": "text/event-stream", "Cache-Control": "no-store"} | resume,
    )


def get_report(job_id: str) -> Call[Report]:
    """The report of a job that has succeeded."""
    return Call(route=_GET_REPORT, ids={"job_id": job_id}, parse=_parser(Report.from_json))


def create_prediction(
    data: Mapping[str, object], *, wait: int | None = None, idempotency_key: str | None = None
) -> Call[JobData]:
    """Submit a prediction of a stored dataset; `wait` as for `create_job`."""
    return replace(
        create_job(data, wait=wait, idempotency_key=idempotency_key), route=_CREATE_PREDICTION
    )


def get_output(job_id: str) -> Call[None]:
    """The file that a prediction wrote, to be downloaded, not sent."""
    ids = {"job_id": job_id}
    return Call(route=_GET_OUTPUT, ids=ids, parse=_nothing, headers={"Accept": "*/*"})


def delete_output(job_id: str) -> Call[None]:
    """Delete that file."""
    return Call(route=_DELETE_OUTPUT, ids={"job_id": job_id}, parse=_nothing)


def list_heads(*, cursor: str | None = None, limit: int | None = None) -> Call[Page[Head]]:
    """One page of heads."""
    return Call(
        route=_LIST_HEADS,
        parse=_page_of(Head.from_json),
        params=_params(cursor=cursor, limit=limit),
    )


def get_head(name: str) -> Call[Head]:
    """One head with its versions and aliases."""
    return Call(route=_GET_HEAD, ids={"name": name}, parse=_parser(Head.from_json))


def get_head_version(name: str, version: int) -> Call[HeadVersion]:
    """One version of a head."""
    ids: dict[str, str | int] = {"name": name, "version": version}
    return Call(route=_GET_HEAD_VERSION, ids=ids, parse=_parser(HeadVersion.from_json))


def set_alias(name: str, alias: str, version: int) -> Call[None]:
    """Make or move an alias."""
    return Call(
        route=_SET_ALIAS,
        ids={"name": name, "alias": alias},
        parse=_nothing,
        headers={"Content-Type": "application/json"},
        content=_body({"version": version}),
    )


def predict(head: str, rows: Embeddings, *, options: Options | None = None) -> Call[Part]:
    """Predict for raw little-endian float32 rows (n, d)."""
    asked = options or Options()
    n_rows, n_columns = rows.shape
    return Call(
        route=_PREDICT,
        parse=lambda answer: read_part(answer, asked, n_rows=n_rows),
        params=_params(head=head) | asked.params,
        headers=_post_headers(BINARY)
        | {"X-Shape": f"{n_rows},{n_columns}", "Accept": asked.accept},
        content=rows.astype("<f4", copy=False).tobytes(),
    )


def predict_texts(head: str, texts: Sequence[str], *, options: Options | None = None) -> Call[Part]:
    """Predict for n texts, which the head's own provider embeds."""
    asked = options or Options()
    return Call(
        route=_PREDICT,
        parse=lambda answer: read_part(answer, asked, n_rows=len(texts)),
        params=asked.params,
        headers=_post_headers("application/json") | {"Accept": asked.accept},
        content=_body({"head": head, "texts": list(texts)}),
    )


def set_provider_key(origin: str, key: str) -> Call[None]:
    """Store a key for a provider."""
    return Call(
        route=_SET_PROVIDER_KEY,
        parse=_nothing,
        headers={"Content-Type": "application/json"},
        content=_body({"origin": origin, "key": key}),
    )


def list_provider_keys() -> Call[list[str]]:
    """The origins for which keys are stored."""
    return Call(
        route=_LIST_PROVIDER_KEYS,
        parse=lambda answer: [item["origin"] for item in answer.json()["items"]],
    )


def delete_provider_key(origin: str) -> Call[None]:
    """Forget a key."""
    return Call(route=_DELETE_PROVIDER_KEY, parse=_nothing, params=_params(origin=origin))


def _nothing(_: Answer) -> None:
    return None


def _parser(read: Callable[[object], T]) -> Callable[[Answer], T]:
    return lambda answer: read(answer.json())


def _page_of(read: Callable[[object], T]) -> Callable[[Answer], Page[T]]:
    def parse(answer: Answer) -> Page[T]:
        data = answer.json()
        items = tuple(read(item) for item in data["items"])
        return Page(items=items, next_cursor=data.get("next_cursor"))

    return parse


def _body(data: object) -> bytes:
    return json.dumps(data, allow_nan=False, separators=(",", ":")).encode()


def _post_headers(content_type: str | None, key: str | None = None) -> dict[str, str]:
    """Headers of a POST: one Idempotency-Key, so that sending it again changes nothing."""
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    return headers | ({"Content-Type": content_type} if content_type else {})


def _params(**values: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}

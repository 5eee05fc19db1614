"""Call the app without a socket, and make the rows that it is asked for."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from nmtune import Trainer, TuneConfig
from store import datasets, first_head, jobs, transitions
from store.names import DEFAULT_TENANT
from store.queue import LocalQueue
from store.registry.heads import NewHeadVersion
from store.store import Store

CLASSES = ("cat", "dog")
N_COLUMNS = 3
EVEN: Final = {"cat": 0.5, "dog": 0.5}
"""The class shares of the training rows."""


@dataclass(frozen=True)
class InProcess:
    """A client of the app without a socket; each call is a request of its own event loop."""

    app: FastAPI

    def __call__(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return asyncio.run(self.send(method, path, **arguments))

    async def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **arguments)

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        return self("GET", path, **arguments)

    def post(self, path: str, **arguments: Any) -> httpx.Response:
        return self("POST", path, **arguments)

    def put(self, path: str, **arguments: Any) -> httpx.Response:
        return self("PUT", path, **arguments)

    def delete(self, path: str, **arguments: Any) -> httpx.Response:
        return self("DELETE", path, **arguments)


class RecordingQueue(LocalQueue):
    """A true doorbell that remembers for whom it rang."""

    def __init__(self) -> None:
        super().__init__()
        self.rung_for: list[str] = []

    def send(self, job_id: str, queue: str) -> None:
        self.rung_for.append(job_id)
        super().send(job_id, queue)


def example(model: type[BaseModel]) -> Any:
    """The example that the documentation shows of a model."""
    extra: Any = model.model_config["json_schema_extra"]
    return extra["examples"][0]


def train(rows: tuple[np.ndarray, np.ndarray], *, seed: int, **config_changes: Any) -> bytes:
    config = TuneConfig(epochs=2, batch_size=8, seed=seed, **config_changes)
    trainer = Trainer(*rows, classes=CLASSES, config=config)
    for _ in trainer:
        pass
    return trainer.result().head.to_bytes()


def add_dataset(store: Store, **changes: Any) -> str:
    """A dataset row (its bytes are never read by the HTTP door); its id."""
    ref = store.artifacts.put_bytes(DEFAULT_TENANT, b"dataset")
    values: dict[str, Any] = {
        "name": "pets",
        "sha256": ref.sha256,
        "size_bytes": ref.size_bytes,
        "n_rows": 40,
        "n_columns": N_COLUMNS,
        "classes": list(CLASSES),
        "splits": [{"name": "train", "n_rows": 40, "class_counts": [20, 20]}],
        "profile": {},
    }
    with store.database.begin() as tx:
        return datasets.add(tx, DEFAULT_TENANT, **values | changes).id


def add_job(store: Store, *, name: str = "pets", alias: str | None = None) -> str:
    """A queued job; its id."""
    dataset_id = add_dataset(store)
    with store.database.begin() as tx:
        job = jobs.submit(
            tx,
            DEFAULT_TENANT,
            name=name,
            dataset_id=dataset_id,
            method="nmtune",
            config={},
            alias=alias,
        )
    return job.id


def claim(store: Store, job_id: str) -> jobs.Job:
    with store.database.begin() as tx:
        job = transitions.claim(tx, job_id, worker="test", lease_seconds=60)
    assert job is not None
    return job


def succeed(
    store: Store,
    job: jobs.Job,
    head: bytes,
    *,
    report: bytes = b'{"version":1}',
    advised_against_because: str | None = None,
    class_shares: Mapping[str, float] | None = EVEN,
    encoder: Mapping[str, object] | None = None,
) -> jobs.Job:
    """End a claimed job as a worker does: bytes first, then the row."""
    report_ref = store.artifacts.put_bytes(DEFAULT_TENANT, report)
    new = _new_head(store, job, head, advised_against_because, class_shares)
    new = replace(new, encoder=encoder)
    with store.database.begin() as tx:
        return transitions.succeed(tx, job, report_sha256=report_ref.sha256, head=new)


def publish_first(store: Store, job: jobs.Job, head: bytes, *, report: bytes) -> jobs.Job:
    """Publish the head of a claimed job, which goes on, with its report so far."""
    report_ref = store.artifacts.put_bytes(DEFAULT_TENANT, report)
    new = _new_head(store, job, head, None, EVEN)
    with store.database.begin() as tx:
        return first_head.publish(tx, job, head=new, report_sha256=report_ref.sha256)


def _new_head(
    store: Store,
    job: jobs.Job,
    head: bytes,
    advised_against_because: str | None,
    class_shares: Mapping[str, float] | None,
) -> NewHeadVersion:
    head_ref = store.artifacts.put_bytes(DEFAULT_TENANT, head)
    return NewHeadVersion(
        name=job.name,
        sha256=head_ref.sha256,
        size_bytes=head_ref.size_bytes,
        method=job.method,
        n_columns=N_COLUMNS,
        classes=CLASSES,
        n_parameters=10,
        config={"seed": 0},
        metrics={"test": {"n_rows": 8, "accuracy": 1.0}},
        lineage={
            "class_shares": None if class_shares is None else dict(class_shares),
            "seed": 0,
            "nmtune_version": "0.1.0",
            "machine": {"device": "cpu"},
        },
        alias=job.alias,
        advised_against_because=advised_against_because,
    )


def publish(
    store: Store,
    head: bytes,
    *,
    name: str = "pets",
    alias: str | None = None,
    class_shares: Mapping[str, float] | None = EVEN,
) -> None:
    """A version of the head `name`, made by a job that succeeded."""
    job = claim(store, add_job(store, name=name, alias=alias))
    succeed(store, job, head, class_shares=class_shares)


def assert_problem(
    response: httpx.Response, status: int, code: str, field: str | None = None
) -> dict[str, Any]:
    """The one error body, whole; with `field`, its first entry is about that field."""
    assert (response.status_code, response.headers["content-type"]) == (
        status,
        "application/problem+json",
    ), response.text
    body: dict[str, Any] = response.json()
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    assert {"type", "title", "detail", "errors", "count"} <= set(body)
    assert len(body["errors"]) <= 20
    assert body["count"] >= len(body["errors"])
    assert all(set(entry) == {"field", "row", "column", "message"} for entry in body["errors"])
    assert len(response.content) <= 4096
    if field is not None:
        assert body["errors"][0]["field"] == field, body
    return body


async def in_chunks(content: bytes, *, size: int = 10_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def job_and_dataset_counts(store: Store) -> tuple[int, int]:
    """How many jobs and datasets there are."""
    with store.database.read() as tx:
        n_jobs = len(jobs.page(tx, DEFAULT_TENANT, limit=200).items)
        return n_jobs, len(datasets.page(tx, DEFAULT_TENANT, limit=200).items)

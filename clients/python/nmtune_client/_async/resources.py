"""Home of `datasets` and `jobs` of an `AsyncClient`: twins of those in `_resources`."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from nmtune_client import _calls
from nmtune_client._async.job import AsyncJob
from nmtune_client._datasets import arrays as _arrays
from nmtune_client._datasets.files import Reading, write_rows
from nmtune_client._datasets.sources import file_of, name_of, npz_arrays
from nmtune_client._datasets.upload import RESUMABLE_BYTES, run_async, steps
from nmtune_client._datasets.upload_bar import upload_observer_of
from nmtune_client._http.errors import APIStatusError
from nmtune_client._http.wire import AsyncSender, Call
from nmtune_client._jobs.plan import Plan
from nmtune_client._jobs.submission import (
    dataset_key,
    needed_dataset,
    note_stored,
    planned,
    submission,
)
from nmtune_client._predict import whole_file as _prediction_job
from nmtune_client._predict.answers import HeadLike, Options, Output
from nmtune_client._report.report import Report
from nmtune_client._show.reprs import OfClient
from nmtune_client._sync.resources import page_size
from nmtune_client._types import Dataset, JobData, Page

T = TypeVar("T")


async def paged(
    sender: AsyncSender, page: Callable[[str | None], Call[Page[T]]], limit: int | None
) -> AsyncIterator[T]:
    """The items of all pages one after the other, each page asked for when it is needed."""
    n_items = 0
    cursor: str | None = None
    while limit is None or n_items < limit:
        answer = await sender.send(page(cursor))
        for item in answer.items:
            if n_items == limit:
                return
            n_items += 1
            yield item
        cursor = answer.next_cursor
        if cursor is None:
            return


class AsyncDatasets(OfClient):
    """The datasets kept by the server."""

    def __init__(self, sender: AsyncSender) -> None:
        self._sender = sender

    async def upload(
        self,
        source: object,
        *,
        name: str | None = None,
        embedding: str | None = None,
        text: str | None = None,
        label: str | None = None,
        split: str | None = None,
        domain: str | None = None,
        group: str | None = None,
        ood_domains: Sequence[str] | None = None,
        test_fraction: float | None = None,
        split_seed: int | None = None,
        merge_similar: bool = False,
        id: str | None = None,  # noqa: A002  the API's word
        unlabelled: bool = False,
        keep_seconds: int | None = None,
        progress: bool | Callable[[int, int], object] = False,
        resumable_bytes: int = RESUMABLE_BYTES,
    ) -> Dataset:
        """Store a dataset: a file, a DataFrame or arrays; as `Datasets.upload`."""
        reading = Reading(
            embedding=embedding,
            text=text,
            label=label,
            split=split,
            domain=domain,
            group=group,
            ood_domains=ood_domains,
            test_fraction=test_fraction,
            split_seed=split_seed,
            merge_similar=merge_similar or None,
            id=id,
            unlabelled=unlabelled or None,
        )
        arrays = npz_arrays(source, reading)
        if arrays is not None:
            return await self.upload_arrays(
                arrays, name=name, keep_seconds=keep_seconds, merge_similar=merge_similar
            )
        with tempfile.TemporaryDirectory(prefix="nmtune-", ignore_cleanup_errors=True) as folder:
            written = await asyncio.to_thread(
                write_rows, source, Path(folder), unlabelled=unlabelled
            )
            path = file_of(source) if written is None else written
            name = name or (name_of(path) if written is None else None)
            if path.stat().st_size < resumable_bytes:
                call = _calls.upload_dataset(
                    path, name=name, reading=reading, keep_seconds=keep_seconds
                )
                return await self._sender.send(call)
            observer = upload_observer_of(progress)
            return await run_async(
                self._sender,
                steps(
                    path, name=name, reading=reading, keep_seconds=keep_seconds, observer=observer
                ),
            )

    async def upload_arrays(
        self,
        arrays: Mapping[str, NDArray[Any]],
        *,
        name: str | None,
        keep_seconds: int | None = None,
        idempotency_key: str | None = None,
        merge_similar: bool = False,
    ) -> Dataset:
        """Store arrays in the npz layout that have been checked already."""
        # a thread that still writes when its task is cancelled may disturb the clearing away
        with tempfile.TemporaryDirectory(prefix="nmtune-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "dataset.npz"
            await asyncio.to_thread(_write, path, arrays)
            call = _calls.upload_dataset(
                path,
                name=name,
                reading=Reading(merge_similar=merge_similar or None),
                keep_seconds=keep_seconds,
                idempotency_key=idempotency_key,
            )
            return await self._sender.send(call)

    def list(self, *, limit: int | None = None) -> AsyncIterator[Dataset]:
        """All datasets, newest first; pages are fetched as the iterator reaches them."""
        size = page_size(limit)
        return paged(
            self._sender, lambda cursor: _calls.list_datasets(cursor=cursor, limit=size), limit
        )

    async def get(self, dataset_id: str) -> Dataset:
        """One dataset, by id."""
        return await self._sender.send(_calls.get_dataset(dataset_id))

    async def keep(self, dataset_id: str, keep_seconds: int | None) -> Dataset:
        """Let it expire that many seconds from now, or never with None; it as it is then."""
        return await self._sender.send(_calls.keep_dataset(dataset_id, keep_seconds))

    async def delete(self, dataset_id: str) -> None:
        """Delete its rows and bytes; ConflictError while a job needs it."""
        await self._sender.send(_calls.delete_dataset(dataset_id))


class AsyncJobs(OfClient):
    """The jobs: trainings, and predictions of whole datasets."""

    def __init__(self, sender: AsyncSender, datasets: AsyncDatasets) -> None:
        self._sender = sender
        self._datasets = datasets

    async def create(
        self,
        *,
        name: str,
        embeddings: object = None,
        labels: object = None,
        splits: object = None,
        merge_similar: bool = False,
        texts: object = None,
        provider: str | Mapping[str, Any] | None = None,
        dataset: str | Dataset | None = None,
        dataset_id: str | None = None,
        method: str | None = None,
        config: Mapping[str, Any] | None = None,
        analyses: Sequence[str] | None = None,
        alias: str | None = None,
        alias_always: bool = False,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        wait: int | None = None,
        idempotency_key: str | None = None,
    ) -> AsyncJob:
        """Submit a job that tunes the head `name`; the arguments are those of `Jobs.create`."""
        sent = submission(
            name=name,
            embeddings=embeddings,
            labels=labels,
            splits=splits,
            merge_similar=merge_similar,
            texts=texts,
            provider=provider,
            dataset=dataset,
            dataset_id=dataset_id,
            method=method,
            config=config,
            analyses=analyses,
            alias=alias,
            alias_always=alias_always,
            description=description,
            tags=tags,
            queue=queue,
            priority=priority,
        )
        if sent.arrays is None:
            call = _calls.create_job(sent.data, wait=wait, idempotency_key=idempotency_key)
            return self._bind(await self._sender.send(call))
        stored = await self._datasets.upload_arrays(
            sent.arrays,
            name=name,
            idempotency_key=dataset_key(idempotency_key),
            merge_similar=sent.merge_similar,
        )
        data = sent.with_dataset(stored)
        try:
            call = _calls.create_job(data, wait=wait, idempotency_key=idempotency_key)
            return self._bind(await self._sender.send(call))
        except APIStatusError as error:
            note_stored(error, stored)
            raise

    async def plan(
        self,
        dataset: str | Dataset | None = None,
        *,
        dataset_id: str | None = None,
        provider: str | Mapping[str, Any] | None = None,
        method: str | None = None,
        config: Mapping[str, Any] | None = None,
        analyses: Sequence[str] | None = None,
    ) -> Plan:
        """What a job on a stored dataset would do; nothing is stored. As `Jobs.plan`."""
        data = planned(
            dataset,
            dataset_id=dataset_id,
            provider=provider,
            method=method,
            config=config,
            analyses=analyses,
        )
        return await self._sender.send(_calls.plan_job(data))

    async def predict(
        self,
        dataset: str | Dataset | None = None,
        *,
        head: HeadLike,
        dataset_id: str | None = None,
        format: str | None = None,  # noqa: A002  the API's word
        output: Output | None = None,
        top_k: int | None = None,
        abstain_below: float | None = None,
        conformal_level: float | None = None,
        ood: bool | None = None,
        queue: str | None = None,
        priority: int | None = None,
        wait: int | None = None,
        idempotency_key: str | None = None,
    ) -> AsyncJob:
        """Submit a prediction of all rows of a stored dataset; as `Jobs.predict`."""
        options = Options(
            output=output,
            top_k=top_k,
            abstain_below=abstain_below,
            conformal_level=conformal_level,
            ood=ood,
        )
        data = _prediction_job.fields(
            needed_dataset(dataset, dataset_id),
            head=head,
            form=format,
            options=options,
            queue=queue,
            priority=priority,
        )
        call = _calls.create_prediction(data, wait=wait, idempotency_key=idempotency_key)
        return self._bind(await self._sender.send(call))

    async def output(self, job_id: str, path: str | PathLike[str] | None = None) -> Path:
        """Write the file that a prediction made to `path`; as `Job.output`."""
        return await (await self.get(job_id)).output(path)

    async def delete_output(self, job_id: str) -> None:
        """Delete the file that a prediction made; the job stays."""
        await self._sender.send(_calls.delete_output(job_id))

    async def list(
        self, *, status: str | None = None, limit: int | None = None
    ) -> AsyncIterator[AsyncJob]:
        """All jobs (of one status), newest first; pages are fetched as the iterator needs them."""
        size = page_size(limit)
        jobs = paged(
            self._sender,
            lambda cursor: _calls.list_jobs(cursor=cursor, limit=size, status=status),
            limit,
        )
        async for data in jobs:
            yield self._bind(data)

    async def get(self, job_id: str) -> AsyncJob:
        """One job, by id."""
        return self._bind(await self._sender.send(_calls.get_job(job_id)))

    async def cancel(self, job_id: str) -> AsyncJob:
        """Ask that a job be cancelled; one that has ended stays as it is."""
        return self._bind(await self._sender.send(_calls.cancel_job(job_id)))

    async def report(self, job_id: str) -> Report:
        """What a job found; ConflictError before it has succeeded."""
        return await self._sender.send(_calls.get_report(job_id))

    def _bind(self, data: JobData) -> AsyncJob:
        return AsyncJob(self._sender, data)


def _write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    with path.open("wb") as file:
        _arrays.write_npz(file, arrays)

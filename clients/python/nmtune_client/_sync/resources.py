"""Home of `client.datasets` and `client.jobs`."""

import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from nmtune_client import _calls
from nmtune_client._datasets import arrays as _arrays
from nmtune_client._datasets.files import Reading, write_rows
from nmtune_client._datasets.sources import file_of, name_of, npz_arrays
from nmtune_client._datasets.upload import RESUMABLE_BYTES, run, steps
from nmtune_client._datasets.upload_bar import upload_observer_of
from nmtune_client._http.errors import APIStatusError
from nmtune_client._http.wire import Call, Sender
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
from nmtune_client._rows import DATASET_HEADER, JOB_HEADER, dataset_row, job_row
from nmtune_client._show.reprs import Listing, OfClient
from nmtune_client._sync.job import Job
from nmtune_client._types import Dataset, JobData, Page

T = TypeVar("T")


def paged(
    sender: Sender, page: Callable[[str | None], Call[Page[T]]], limit: int | None
) -> Iterator[T]:
    """The items of all pages one after the other, each page asked for when it is needed."""

    def items() -> Iterator[T]:
        cursor: str | None = None
        while True:
            answer = sender.send(page(cursor))
            yield from answer.items
            cursor = answer.next_cursor
            if cursor is None:
                return

    return itertools.islice(items(), limit)


def page_size(limit: int | None) -> int | None:
    return None if limit is None else max(1, min(limit, 100))


class Datasets(OfClient):
    """The datasets kept by the server."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def upload(
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
        """Store a dataset: a file, streamed; a DataFrame; or arrays in the npz layout.

        source: a path of Parquet, CSV, JSON Lines or a JSON list of records (all three also as .gz
        or .zst), safetensors or npz; a table of pandas, polars, pyarrow or Hugging Face's datasets;
        or a mapping of `train_x` (n, d) and `train_y` (n,), the same for `validation`, `test` and
        `ood_<domain>`, where `_y` holds strings, or integers that count in `class_names` (c,).
        name: by default the file's.
        embedding, label, split, domain, group: the columns of a table, where they are not called
        so; embedding="pc_*" are numbered columns; text: texts, for jobs with a provider, in place
        of embeddings. ood_domains: domains to hold out, [] for none.
        test_fraction, split_seed: of the test split that is made where the table has none.
        merge_similar: make one of classes, and of domains, that differ in case, spaces or Unicode
        form alone; without it `warnings` of the dataset name them.
        id: the column of what you call the rows, so that reports and predictions name them.
        unlabelled: the rows are to be predicted by `jobs.predict`: no labels, and the order stays.
        keep_seconds: after how long it expires. A file of `resumable_bytes` and more goes up in
        parts, each tried again if it fails; should this process end, the same call goes on where
        it stopped. progress: True for a bar on stderr, or a function of bytes sent and all bytes.
        Arrays are checked first: ValueError names the row and column of what is wrong.
        """
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
            return self.upload_arrays(
                arrays, name=name, keep_seconds=keep_seconds, merge_similar=merge_similar
            )
        with tempfile.TemporaryDirectory(prefix="nmtune-") as folder:
            written = write_rows(source, Path(folder), unlabelled=unlabelled)
            path = file_of(source) if written is None else written
            name = name or (name_of(path) if written is None else None)
            if path.stat().st_size < resumable_bytes:
                call = _calls.upload_dataset(
                    path, name=name, reading=reading, keep_seconds=keep_seconds
                )
                return self._sender.send(call)
            observer = upload_observer_of(progress)
            return run(
                self._sender,
                steps(
                    path, name=name, reading=reading, keep_seconds=keep_seconds, observer=observer
                ),
            )

    def upload_arrays(
        self,
        arrays: Mapping[str, NDArray[Any]],
        *,
        name: str | None,
        keep_seconds: int | None = None,
        idempotency_key: str | None = None,
        merge_similar: bool = False,
    ) -> Dataset:
        """Store arrays in the npz layout that have been checked already."""
        with tempfile.TemporaryDirectory(prefix="nmtune-") as folder:
            path = Path(folder) / "dataset.npz"
            with path.open("wb") as file:
                _arrays.write_npz(file, arrays)
            call = _calls.upload_dataset(
                path,
                name=name,
                reading=Reading(merge_similar=merge_similar or None),
                keep_seconds=keep_seconds,
                idempotency_key=idempotency_key,
            )
            return self._sender.send(call)

    def list(self, *, limit: int | None = None) -> Iterator[Dataset]:
        """All datasets, newest first; pages are fetched as the iterator reaches them."""
        size = page_size(limit)
        datasets = paged(
            self._sender, lambda cursor: _calls.list_datasets(cursor=cursor, limit=size), limit
        )
        return Listing(datasets, header=DATASET_HEADER, row=dataset_row)

    def get(self, dataset_id: str) -> Dataset:
        """One dataset, by id."""
        return self._sender.send(_calls.get_dataset(dataset_id))

    def keep(self, dataset_id: str, keep_seconds: int | None) -> Dataset:
        """Let it expire that many seconds from now, or never with None; it as it is then."""
        return self._sender.send(_calls.keep_dataset(dataset_id, keep_seconds))

    def delete(self, dataset_id: str) -> None:
        """Delete its rows and bytes; ConflictError while a job needs it."""
        self._sender.send(_calls.delete_dataset(dataset_id))


class Jobs(OfClient):
    """The jobs: trainings, and predictions of whole datasets."""

    def __init__(self, sender: Sender, datasets: Datasets) -> None:
        self._sender = sender
        self._datasets = datasets

    def create(
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
    ) -> Job:
        """Submit a job that tunes the head `name`, on a stored dataset or on rows sent along.

        dataset_id: the stored dataset's id, or as `dataset` what `datasets.upload` returned.
        embeddings: (n, d) numbers: numpy, pandas, polars, pyarrow, torch, or a column or list of
        vectors.
        labels: n strings, whole numbers, Booleans or dates. splits: n names (train, validation,
        test, ood/<domain>); without them the server holds out a stratified fifth as `test`.
        merge_similar: make one of classes, and of domains, that differ in case, spaces or Unicode
        form alone.
        texts: n strings in place of embeddings; provider: what embeds them, a name such as
        "local-minilm" or {"name": "openai", "model": "text-embedding-3-small"}, with `base_url`
        and `dimensions` where needed.
        method: auto (the server's default), nmtune, mlp or linear_probe. config: `preset` and
        settings over it, e.g. {"preset": "reference", "epochs": 10}. analyses: what else to look
        into, `ablation` and `learning_curve`. alias: moves to the new head version, unless the
        report's verdict advises against it; alias_always: whatever the verdict says.
        `Job.alias_outcome` tells which. description and tags: noted of the new version, e.g.
        tags={"ticket": "ML-12"}. queue: cpu or gpu, the workers that train it. priority:
        -100 to 100, higher ones are taken first.
        wait: seconds the server may hold its answer for the job to end; `Job.wait` is what waits.
        idempotency_key: a key of your own makes repeating the call, even from another process,
        return the first job.

        Rows of more than 32 MiB go up as a dataset first. Raises ValueError for rows that cannot
        be right, and ValidationError for what the server finds wrong.
        """
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
            return self._bind(self._sender.send(call))
        stored = self._datasets.upload_arrays(
            sent.arrays,
            name=name,
            idempotency_key=dataset_key(idempotency_key),
            merge_similar=sent.merge_similar,
        )
        data = sent.with_dataset(stored)
        try:
            call = _calls.create_job(data, wait=wait, idempotency_key=idempotency_key)
            return self._bind(self._sender.send(call))
        except APIStatusError as error:
            note_stored(error, stored)
            raise

    def plan(
        self,
        dataset: str | Dataset | None = None,
        *,
        dataset_id: str | None = None,
        provider: str | Mapping[str, Any] | None = None,
        method: str | None = None,
        config: Mapping[str, Any] | None = None,
        analyses: Sequence[str] | None = None,
    ) -> Plan:
        """What a job on a stored dataset would do, as the server says it; nothing is stored.

        A dict whose members are attributes too: among them `splits`, `candidates`,
        `memory_bytes`, `warnings`, and `seconds` by the pace of earlier jobs (None while there is
        none). The arguments are those of `create`.
        """
        data = planned(
            dataset,
            dataset_id=dataset_id,
            provider=provider,
            method=method,
            config=config,
            analyses=analyses,
        )
        return self._sender.send(_calls.plan_job(data))

    def predict(
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
    ) -> Job:
        """Submit a prediction of all rows of a stored dataset; `Job.output` takes the file it made.

        head: `pets`, `pets@3` or `pets@prod`; the version that it names now answers all rows.
        format: parquet (the server's default), csv or jsonl. The options are those of
        `Client.predict`, and queue, priority and idempotency_key those of `create`.
        """
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
        return self._bind(self._sender.send(call))

    def output(self, job_id: str, path: str | PathLike[str] | None = None) -> Path:
        """Write the file that a prediction made to `path`; as `Job.output`."""
        return self.get(job_id).output(path)

    def delete_output(self, job_id: str) -> None:
        """Delete the file that a prediction made; the job stays."""
        self._sender.send(_calls.delete_output(job_id))

    def list(self, *, status: str | None = None, limit: int | None = None) -> Iterator[Job]:
        """All jobs (of one status), newest first; pages are fetched as the iterator needs them."""
        size = page_size(limit)
        jobs = paged(
            self._sender,
            lambda cursor: _calls.list_jobs(cursor=cursor, limit=size, status=status),
            limit,
        )
        return Listing(map(self._bind, jobs), header=JOB_HEADER, row=job_row)

    def get(self, job_id: str) -> Job:
        """One job, by id."""
        return self._bind(self._sender.send(_calls.get_job(job_id)))

    def cancel(self, job_id: str) -> Job:
        """Ask that a job be cancelled; one that has ended stays as it is."""
        return self._bind(self._sender.send(_calls.cancel_job(job_id)))

    def report(self, job_id: str) -> Report:
        """What a job found; ConflictError before it has succeeded."""
        return self._sender.send(_calls.get_report(job_id))

    def _bind(self, data: JobData) -> Job:
        return Job(self._sender, data)

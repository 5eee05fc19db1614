"""Home of `client.datasets`, `client.jobs` and `client.heads`."""

import itertools
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from nmtune_client import _arrays, _calls
from nmtune_client._errors import APIStatusError
from nmtune_client._files import Reading, is_frame, write_frame
from nmtune_client._jobs import Job
from nmtune_client._report import Report
from nmtune_client._types import Dataset, Head, HeadVersion, JobData, Page
from nmtune_client._wire import Call, Sender

T = TypeVar("T")

# As float32 bytes. Base64 makes a third more of it; the server takes 64 MiB of JSON.
MOST_INLINE_BYTES = 32 * 1024 * 1024


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


def name_of_file(path: Path) -> str | None:
    """A dataset name made of a file's: the characters that names lack become `-`."""
    stem = re.sub(r"\.(gz|gzip|zst|zstd)$", "", path.name, flags=re.IGNORECASE)
    stem = Path(stem).stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip("._-")[:64] or None


def _page_size(limit: int | None) -> int | None:
    return None if limit is None else max(1, min(limit, 100))


class Datasets:
    """The datasets kept by the server."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def upload(
        self,
        source: object,
        *,
        name: str | None = None,
        embedding: str | None = None,
        label: str | None = None,
        split: str | None = None,
        domain: str | None = None,
        group: str | None = None,
        ood_domains: Sequence[str] | None = None,
        test_fraction: float | None = None,
        split_seed: int | None = None,
    ) -> Dataset:
        """Store a dataset: a file, streamed; a DataFrame; or arrays in the npz layout.

        source: a path of Parquet, CSV, JSON Lines (both also as .gz or .zst), safetensors or npz;
        a DataFrame of pandas or polars; or a mapping of `train_x` (n, d) and `train_y` (n,), the
        same for `validation`, `test` and `ood_<domain>`, where `_y` holds strings, or integers
        that count in `class_names` (c,). name: by default the file's.
        embedding, label, split, domain, group: the columns of a table, where they are not called
        so; embedding="pc_*" are numbered columns. ood_domains: domains to hold out, [] for none.
        test_fraction, split_seed: of the test split that is made where the table has none.
        Arrays are checked first: ValueError names the row and column of what is wrong.
        """
        reading = Reading(
            embedding=embedding,
            label=label,
            split=split,
            domain=domain,
            group=group,
            ood_domains=ood_domains,
            test_fraction=test_fraction,
            split_seed=split_seed,
        )
        if isinstance(source, Mapping):
            if reading.params():
                raise ValueError("columns and splits are those of a table, not of arrays")
            return self.upload_arrays(_arrays.check_npz_arrays(source), name=name)
        if is_frame(source):
            with tempfile.TemporaryDirectory(prefix="nmtune-") as folder:
                path = write_frame(source, Path(folder))
                return self._sender.send(_calls.upload_dataset(path, name=name, reading=reading))
        if not isinstance(source, str | PathLike):
            raise ValueError(f"a dataset is a path, a DataFrame or a mapping, not {type(source)}")
        path = Path(fspath(source))
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        call = _calls.upload_dataset(path, name=name or name_of_file(path), reading=reading)
        return self._sender.send(call)

    def upload_arrays(
        self,
        arrays: Mapping[str, NDArray[Any]],
        *,
        name: str | None,
        idempotency_key: str | None = None,
    ) -> Dataset:
        """Store arrays in the npz layout that have been checked already."""
        with tempfile.TemporaryDirectory(prefix="nmtune-") as folder:
            path = Path(folder) / "dataset.npz"
            with path.open("wb") as file:
                _arrays.write_npz(file, arrays)
            call = _calls.upload_dataset(path, name=name, idempotency_key=idempotency_key)
            return self._sender.send(call)

    def list(self, *, limit: int | None = None) -> Iterator[Dataset]:
        """All datasets, newest first; pages are fetched as the iterator reaches them."""
        size = _page_size(limit)
        return paged(
            self._sender, lambda cursor: _calls.list_datasets(cursor=cursor, limit=size), limit
        )

    def get(self, dataset_id: str) -> Dataset:
        """One dataset, by id."""
        return self._sender.send(_calls.get_dataset(dataset_id))

    def delete(self, dataset_id: str) -> None:
        """Delete its rows and bytes; ConflictError while a job needs it."""
        self._sender.send(_calls.delete_dataset(dataset_id))


class Jobs:
    """The tuning jobs."""

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
        dataset: str | Dataset | None = None,
        method: str | None = None,
        config: Mapping[str, Any] | None = None,
        analyses: Sequence[str] | None = None,
        alias: str | None = None,
        queue: str | None = None,
        priority: int | None = None,
        wait: int | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Submit a job that tunes the head `name`, on a stored `dataset` or on rows sent along.

        embeddings: (n, d) numbers: numpy, nested lists, or anything with `__array__`.
        labels: n strings or integers. splits: n names (train, validation, test, ood/<domain>);
        without them the server holds out a stratified fifth as `test`.
        method: auto (the server's default), nmtune, mlp or linear_probe. config: `preset` and
        settings over it, e.g. {"preset": "reference", "epochs": 10}. analyses: what else to look
        into, `ablation` and `learning_curve`. alias: set on the new head version. queue: cpu or
        gpu, the workers that train it. priority: -100 to 100, higher ones are taken first.
        wait: seconds the server may hold its answer for the job to end; `Job.wait` is what waits.
        idempotency_key: a key of your own makes repeating the call, even from another process,
        return the first job.

        Rows of more than 32 MiB go up as a dataset first. Raises ValueError for rows that cannot
        be right, and ValidationError for what the server finds wrong.
        """
        if (dataset is None) == (embeddings is None):
            raise ValueError("pass either dataset= or embeddings= and labels=")
        data: dict[str, Any] = {
            "name": name,
            "method": method,
            "config": dict(config) if config else None,
            "analyses": list(analyses) if analyses else None,
            "alias": alias,
            "queue": queue,
            "priority": priority,
        }
        if dataset is not None:
            if labels is not None or splits is not None:
                raise ValueError("labels and splits belong to embeddings, not to a stored dataset")
            data["dataset_id"] = dataset if isinstance(dataset, str) else dataset.id
        else:
            data |= self._rows(embeddings, labels, splits, name=name, key=idempotency_key)
        call = _calls.create_job(data, wait=wait, idempotency_key=idempotency_key)
        try:
            return self._bind(self._sender.send(call))
        except APIStatusError as error:
            if dataset is None and "dataset_id" in data:
                error.add_note(f"The rows were stored: dataset={data['dataset_id']!r} has them.")
            raise

    def plan(
        self,
        dataset: str | Dataset,
        *,
        method: str | None = None,
        config: Mapping[str, Any] | None = None,
        analyses: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """What a job on a stored dataset would do, as the server says it; nothing is stored.

        Among it: `splits`, `candidates`, `memory_bytes`, `warnings`, and `seconds` by the pace of
        earlier jobs (None while there is none). The other arguments are those of `create`.
        """
        data = {
            "name": "plan",
            "dataset_id": dataset if isinstance(dataset, str) else dataset.id,
            "method": method,
            "config": dict(config) if config else None,
            "analyses": list(analyses) if analyses else None,
        }
        return self._sender.send(_calls.plan_job(data))

    def _rows(
        self, embeddings: object, labels: object, splits: object, *, name: str, key: str | None
    ) -> dict[str, Any]:
        """The rows as the fields of a job: inline if small, else uploaded and named."""
        if labels is None:
            raise ValueError("embeddings need labels, one a row")
        x = _arrays.embeddings_array(embeddings)
        y = _arrays.label_list(labels, n_rows=len(x))
        of_row = None if splits is None else _arrays.split_list(splits, n_rows=len(x))
        if x.nbytes > MOST_INLINE_BYTES:
            arrays = _arrays.npz_arrays(x, y, of_row)
            dataset = self._datasets.upload_arrays(
                arrays, name=name, idempotency_key=f"{key}.dataset" if key else None
            )
            return {"dataset_id": dataset.id}
        rows = {"embeddings": _arrays.inline(x), "labels": y}
        return rows if of_row is None else rows | {"splits": of_row}

    def list(self, *, status: str | None = None, limit: int | None = None) -> Iterator[Job]:
        """All jobs (of one status), newest first; pages are fetched as the iterator needs them."""
        size = _page_size(limit)
        jobs = paged(
            self._sender,
            lambda cursor: _calls.list_jobs(cursor=cursor, limit=size, status=status),
            limit,
        )
        return map(self._bind, jobs)

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


class Heads:
    """The registry of tuned heads."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def list(self, *, limit: int | None = None) -> Iterator[Head]:
        """All heads; pages are fetched as the iterator reaches them."""
        size = _page_size(limit)
        return paged(
            self._sender, lambda cursor: _calls.list_heads(cursor=cursor, limit=size), limit
        )

    def get(self, name: str) -> Head:
        """One head with its versions and aliases."""
        return self._sender.send(_calls.get_head(name))

    def version(self, name: str, version: int) -> HeadVersion:
        """One version of a head."""
        return self._sender.send(_calls.get_head_version(name, version))

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Let `name@alias` mean `version` from now on."""
        self._sender.send(_calls.set_alias(name, alias, version))

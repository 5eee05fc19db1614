# Written by generate_sync.py out of _async/datasets.py: edit that file, then run the script.
"""`client.datasets`: upload, list, keep and delete."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from nmtune_client._datasets.arrays import write_npz
from nmtune_client._datasets.calls import (
    delete_dataset,
    get_dataset,
    keep_dataset,
    list_datasets,
    upload_dataset,
)
from nmtune_client._datasets.files import Reading, write_rows
from nmtune_client._datasets.rows import DATASET_HEADER, dataset_row
from nmtune_client._datasets.sources import file_of, name_of, npz_arrays
from nmtune_client._datasets.upload import RESUMABLE_BYTES, steps
from nmtune_client._datasets.upload_bar import upload_observer_of
from nmtune_client._datasets.values import Dataset
from nmtune_client._show.reprs import OfClient
from nmtune_client._sync.concurrency import in_thread, listing
from nmtune_client._sync.paging import paged
from nmtune_client._sync.sender import Sender
from nmtune_client._sync.stored_dataset import StoredDataset
from nmtune_client._sync.uploads import run


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
    ) -> StoredDataset:
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
        form; without it `warnings` of the dataset name them.
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
        with tempfile.TemporaryDirectory(prefix="nmtune-", ignore_cleanup_errors=True) as folder:
            written = in_thread(write_rows, source, Path(folder), unlabelled=unlabelled)
            path = file_of(source) if written is None else written
            name = name or (name_of(path) if written is None else None)
            if path.stat().st_size < resumable_bytes:
                call = upload_dataset(path, name=name, reading=reading, keep_seconds=keep_seconds)
                return self._bind(self._sender.send(call))
            observer = upload_observer_of(progress)
            upload = steps(
                path, name=name, reading=reading, keep_seconds=keep_seconds, observer=observer
            )
            return self._bind(run(self._sender, upload))

    def upload_arrays(
        self,
        arrays: Mapping[str, NDArray[Any]],
        *,
        name: str | None,
        keep_seconds: int | None = None,
        idempotency_key: str | None = None,
        merge_similar: bool = False,
    ) -> StoredDataset:
        """Store arrays in the npz layout that have been checked already."""
        # a thread that still writes when its task is cancelled may disturb the clearing away
        with tempfile.TemporaryDirectory(prefix="nmtune-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "dataset.npz"
            in_thread(_write, path, arrays)
            call = upload_dataset(
                path,
                name=name,
                reading=Reading(merge_similar=merge_similar or None),
                keep_seconds=keep_seconds,
                idempotency_key=idempotency_key,
            )
            return self._bind(self._sender.send(call))

    def list(
        self, *, parent_id: str | None = None, limit: int | None = None
    ) -> Iterator[StoredDataset]:
        """All datasets, newest first; pages are fetched as the iterator reaches them.

        parent_id: only those made from that dataset by corrections or added rows.
        """

        def datasets() -> Iterator[StoredDataset]:
            found = paged(
                self._sender,
                lambda cursor, size: list_datasets(parent_id=parent_id, cursor=cursor, limit=size),
                limit=limit,
            )
            for data in found:
                yield self._bind(data)

        return listing(datasets(), header=DATASET_HEADER, row=dataset_row)

    def get(self, dataset_id: str) -> StoredDataset:
        """One dataset, by id."""
        return self._bind(self._sender.send(get_dataset(dataset_id)))

    def keep(self, dataset_id: str, keep_seconds: int | None) -> StoredDataset:
        """Let a dataset expire that many seconds from now, or never with None; returns it."""
        return self._bind(self._sender.send(keep_dataset(dataset_id, keep_seconds)))

    def delete(self, dataset_id: str) -> None:
        """Delete a dataset; ConflictError while a job needs it."""
        self._sender.send(delete_dataset(dataset_id))

    def _bind(self, data: Dataset) -> StoredDataset:
        return StoredDataset.of(self._sender, data)


def _write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    with path.open("wb") as file:
        write_npz(file, arrays)

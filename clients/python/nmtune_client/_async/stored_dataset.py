"""A dataset bound to its client: look at its rows, correct them, add to them."""

import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

from nmtune_client._async.concurrency import in_thread, listing
from nmtune_client._async.paging import paged
from nmtune_client._async.sender import AsyncSender
from nmtune_client._async.uploads import run
from nmtune_client._datasets import revision_calls as calls
from nmtune_client._datasets.arrays import check_npz_arrays, write_npz
from nmtune_client._datasets.corrections import correction
from nmtune_client._datasets.files import Reading, write_rows
from nmtune_client._datasets.rows import ROW_HEADER, row_row
from nmtune_client._datasets.sources import file_of
from nmtune_client._datasets.upload import RESUMABLE_BYTES, steps
from nmtune_client._datasets.upload_bar import upload_observer_of
from nmtune_client._datasets.values import Dataset, DatasetRow
from nmtune_client._http.calls import params_of

_ROWS_AT_ONCE = 200


class AsyncStoredDataset(Dataset):
    """A `Dataset` that `client.datasets` gave; it can also show its rows and be revised.

    Datasets never change: `correct` and `append` make new ones, whose `parent_id` is this one's id.
    """

    _sender: AsyncSender

    @classmethod
    def of(cls, sender: AsyncSender, data: Dataset) -> Self:
        """The dataset, with the client that it came by."""
        bound = cls(**{one.name: getattr(data, one.name) for one in fields(Dataset)})
        object.__setattr__(bound, "_sender", sender)
        return bound

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied and pickled without its client, as a plain `Dataset`."""
        return Dataset.from_json, (self.raw,)

    def rows(
        self,
        split: str | None = None,
        *,
        rows: Sequence[int] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[DatasetRow]:
        """Its rows with label, id, place in the file and text; pages are fetched as needed.

        split: only those of a split. rows: only these of that split, counted from 0, in this order.
        """
        if rows is None:
            found = paged(
                self._sender,
                lambda cursor, size: calls.list_rows(
                    self.id, split=split, cursor=cursor, limit=size
                ),
                limit=limit,
            )
        else:
            found = self._only(split, [int(row) for row in rows][:limit])
        return listing(found, header=ROW_HEADER, row=row_row)

    async def _only(self, split: str | None, rows: Sequence[int]) -> AsyncIterator[DatasetRow]:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            named = ",".join(map(str, rows[start : start + _ROWS_AT_ONCE]))
            page = await self._sender.send(calls.list_rows(self.id, split=split, rows=named))
            for row in page.items:
                yield row

    async def correct(
        self,
        labels: object = None,
        drop: object = None,
        *,
        note: str | None = None,
        name: str | None = None,
        keep_seconds: int | None = None,
        idempotency_key: str | None = None,
    ) -> "AsyncStoredDataset":
        """Make a dataset with other labels for some rows, and without others; returns it.

        labels: dicts such as `{"split": "train", "row": 3, "label": "cat"}`, or with `file_row` or
        `id` (and `split`, if several splits have it) in place of `row`; or a table with these
        columns; or suspects of a report, each of which gets its suggested label. drop: the same
        without labels. note: for people, kept in the `lineage`. ValidationError, and no dataset,
        if a row is not there or named twice, or a label is empty.
        """
        data = correction(labels, drop, note=note, name=name, keep_seconds=keep_seconds)
        call = calls.correct_dataset(self.id, data, idempotency_key=idempotency_key)
        return self._bind(await self._sender.send(call))

    async def append(
        self,
        source: object = None,
        *,
        embeddings: object = None,
        texts: object = None,
        labels: object = None,
        splits: object = None,
        embedding: str | None = None,
        text: str | None = None,
        label: str | None = None,
        split: str | None = None,
        domain: str | None = None,
        id: str | None = None,  # noqa: A002  the API's word
        note: str | None = None,
        name: str | None = None,
        keep_seconds: int | None = None,
        idempotency_key: str | None = None,
        progress: bool | Callable[[int, int], object] = False,
        resumable_bytes: int = RESUMABLE_BYTES,
    ) -> "AsyncStoredDataset":
        """Make a dataset of these rows and freshly labelled ones; returns it.

        source: a file, a table or arrays, as `datasets.upload` takes them, with columns named the
        same way; or embeddings (n, d) or texts, with labels and maybe splits. Rows that name no
        split become train, and no test split is made. note: for people, kept in the `lineage`.
        """
        reading = Reading(
            embedding=embedding, text=text, label=label, split=split, domain=domain, id=id
        )
        params = params_of(note=note, name=name, keep_seconds=keep_seconds)
        if source is None:
            data = calls.inline_rows(embeddings, texts, labels, splits)
            call = calls.append_values(
                self.id, data, params=params, idempotency_key=idempotency_key
            )
            return self._bind(await self._sender.send(call))
        if any(one is not None for one in (embeddings, texts, labels, splits)):
            raise ValueError("pass either a file or a table, or rows with labels=")
        with tempfile.TemporaryDirectory(prefix="nmtune-", ignore_cleanup_errors=True) as folder:
            path = await in_thread(_file_of, source, Path(folder))
            if path.stat().st_size < resumable_bytes:
                call = calls.append_file(
                    self.id, path, reading=reading, params=params, idempotency_key=idempotency_key
                )
                return self._bind(await self._sender.send(call))
            upload = steps(
                path,
                parent_id=self.id,
                note=note,
                name=name,
                reading=reading,
                keep_seconds=keep_seconds,
                observer=upload_observer_of(progress),
            )
            return self._bind(await run(self._sender, upload))

    def _bind(self, data: Dataset) -> "AsyncStoredDataset":
        return AsyncStoredDataset.of(self._sender, data)


def _file_of(source: object, folder: Path) -> Path:
    """The file that rows to add are in, or are written to."""
    if isinstance(source, Mapping):
        path = folder / "rows.npz"
        with path.open("wb") as file:
            write_npz(file, check_npz_arrays(source, needs_train=False))
        return path
    return write_rows(source, folder, unlabelled=False) or file_of(source)

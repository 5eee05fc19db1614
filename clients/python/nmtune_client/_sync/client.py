# Written by generate_sync.py out of _async/client.py: edit that file, then run the script.
"""The client itself: it sends calls, and predicts."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar

import httpx

from nmtune_client._heads.values import HeadVersion
from nmtune_client._http.download import Sink, check_place, downloading
from nmtune_client._http.errors import APIConnectionError, ConflictError, PayloadTooLargeError
from nmtune_client._http.proxy import shown
from nmtune_client._http.retry import RetryPolicy
from nmtune_client._http.server import Server, answer_of, check_stream, value_of
from nmtune_client._http.wire import Answer, Call, result
from nmtune_client._jobs.values import JobData
from nmtune_client._keys.calls import who_asks
from nmtune_client._keys.values import Identity
from nmtune_client._predict.batches import AT_ONCE, Batches
from nmtune_client._predict.options import HeadLike, Options, Output
from nmtune_client._predict.result import Prediction
from nmtune_client._predict.whole_file import ROWS_KEPT_SECONDS, format_of
from nmtune_client._sync.audit import Audit
from nmtune_client._sync.concurrency import Turns, in_thread, sleep
from nmtune_client._sync.datasets import Datasets
from nmtune_client._sync.encoders import Encoders
from nmtune_client._sync.heads import Heads
from nmtune_client._sync.jobs import Jobs
from nmtune_client._sync.keys import Keys
from nmtune_client._sync.provider_keys import ProviderKeys
from nmtune_client._sync.webhooks import Webhooks
from nmtune_client._usage.calls import read_usage
from nmtune_client._usage.values import Usage

T = TypeVar("T")

_UPLOAD_CHUNK_BYTES = 1 << 18
_DOWNLOAD_CHUNK_BYTES = 1 << 18
# Of all tasks together. A server answers 429 where too many wait, and httpx's pool slows down with
# the number of requests that wait for a connection.
_MOST_PREDICTIONS_AT_ONCE = 32


class Client:
    """Talks to one NMTune server, and is used with `with`.

    base_url: the server's address; if None, the environment's NMTUNE_URL as it is now, or else
    http://127.0.0.1:8000. api_key: the key to send; if None, the environment's NMTUNE_API_KEY, or
    else the one that `nmtune login` keeps for this server; no repr and no error shows it.
    timeout: seconds to wait for an answer (connecting has 5 s of its own, and an upload may take as
    long as it likes to send). retry: how failures are repeated.

    Any number of threads may share a client.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._server = Server.at(base_url, api_key=api_key, timeout=timeout, retry=retry)
        self.base_url = self._server.base_url
        self._http = httpx.Client(**self._server.client_arguments())
        self._turns = Turns(_MOST_PREDICTIONS_AT_ONCE)
        self.datasets = Datasets(self)
        self.jobs = Jobs(self, self.datasets)
        self.heads = Heads(self)
        self.encoders = Encoders(self)
        self.provider_keys = ProviderKeys(self)
        self.keys = Keys(self)
        self.webhooks = Webhooks(self)
        self.audit = Audit(self)

    def __repr__(self) -> str:
        return f"Client({shown(self.base_url)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        self._http.close()

    def identity(self) -> Identity:
        """Who asks, as the server sees it: the tenant, and what the key may do."""
        return self.send(who_asks())

    def usage(self) -> Usage:
        """What the tenant uses this month and now, and its limits; for the scope `admin`."""
        return self.send(read_usage())

    def predict(
        self,
        head: HeadLike,
        embeddings: object = None,
        *,
        texts: object = None,
        output: Output | None = None,
        top_k: int | None = None,
        abstain_below: float | None = None,
        conformal_level: float | None = None,
        ood: bool | None = None,
        class_shares: Mapping[str, float] | None = None,
    ) -> Prediction:
        """Classify embeddings (n, d) with a head: `pets` (its latest), `pets@3` or `pets@prod`.

        embeddings: numpy, pandas, polars, a torch CPU tensor, or lists; ValueError names the row
        of what is not finite in float32. texts: strings in their place, for a head that was
        trained on texts: its own provider embeds them. More rows than the server takes at once go
        in several requests, a few at a time; all are answered by the version that answered the
        first, even if the alias moves meanwhile, and come back in order.

        output: `probabilities` (the server's default), `logits`, `embeddings` (the tuned ones) or
        only `labels`. top_k: only the k most probable classes of each row. abstain_below: no
        label (None) where the probability is less. conformal_level: for each row the set of
        classes that holds the true one with that probability. ood: whether each row looks unlike
        the training rows. class_shares: the share of each class among such rows, if you know it and
        it differs from that of the training rows; by default those of the alias, if it has any.
        """
        options = Options(
            output=output,
            top_k=top_k,
            abstain_below=abstain_below,
            conformal_level=conformal_level,
            ood=ood,
            class_shares=class_shares,
        )
        batches = Batches(head, embeddings, options, texts=texts)
        while True:
            try:
                first = self._turns.one(self.send, batches.first())
                break
            except PayloadTooLargeError:
                if not batches.shrink():
                    raise
        version: HeadVersion | None = None
        if (ask_classes := batches.class_names(first)) is not None:
            version = self.send(ask_classes)
        if (ask_shares := batches.ask_shares(first)) is not None:
            batches.keep_shares(self.send(ask_shares))
        rest = self._turns.all(self.send, batches.rest(first), at_once=AT_ONCE)
        return batches.joined([first, *rest], version)

    def predict_file(
        self,
        source: object,
        *,
        head: HeadLike,
        to: str | PathLike[str],
        format: str | None = None,  # noqa: A002  the API's word
        output: Output | None = None,
        top_k: int | None = None,
        abstain_below: float | None = None,
        conformal_level: float | None = None,
        ood: bool | None = None,
        class_shares: Mapping[str, float] | None = None,
        embedding: str | None = None,
        text: str | None = None,
        id: str | None = None,  # noqa: A002  the API's word
        queue: str | None = None,
        priority: int | None = None,
        timeout: float | None = None,
        progress: bool | Callable[[JobData], None] = False,
    ) -> Path:
        """Predict all rows of a file with a head, as a job at the server; the path of the output.

        source: what `datasets.upload` takes, .npy, or rows as `predict` does; they need no labels,
        and embedding, text and id name its columns where they are not called so. to: the file to
        write; its ending, or format, says Parquet, CSV or JSON Lines. It has a line for each row in
        their order: `id` (the column id, or else the row's number), `label` and the rest, by the
        options of `predict`. timeout and progress are those of `Job.wait`.

        The rows are deleted at the server once the job has ended, or expire after a day; the output
        stays until it is deleted or expires. Raises JobFailed, JobCancelled, WaitTimeout (the job
        goes on).
        """
        form = format_of(to, format)
        check_place(Path(to))  # before anything is sent
        dataset = self.datasets.upload(
            source,
            embedding=embedding,
            text=text,
            id=id,
            unlabelled=True,
            keep_seconds=ROWS_KEPT_SECONDS,
        )
        try:
            job = self.jobs.predict(
                dataset,
                head=head,
                format=form,
                output=output,
                top_k=top_k,
                abstain_below=abstain_below,
                conformal_level=conformal_level,
                ood=ood,
                class_shares=class_shares,
                queue=queue,
                priority=priority,
            )
            job.wait(timeout, progress=progress)
        finally:
            with suppress(ConflictError, APIConnectionError):  # the job goes on and needs it
                self.datasets.delete(dataset.id)
        return job.output(to)

    def send(self, call: Call[T]) -> T:
        """Send a call, again if the retry policy says so, and return its value."""
        return self._persist(call, self._try)

    def download(self, call: Call[None], path: Path) -> None:
        """Send a call as `send` does, and write its answer's bytes to `path`, whole or not at all.

        Bytes that do not have the answer's Repr-Digest count as a broken connection.
        """
        with downloading(path) as part:
            self._persist(call, partial(self._try_into, part))

    @contextmanager
    def open_stream(self, call: Call[None], *, read_seconds: float) -> Iterator[Iterator[bytes]]:
        """Send a call once, and give the bytes of its event stream as they come.

        `read_seconds` is the longest silence allowed. Errors of opening and of reading are those
        of `send`; an answer that is no event stream is a BadResponseError.
        """
        arguments = self._server.stream_arguments(call, read_seconds=read_seconds)
        with self._server.translated(call), self._http.stream(**arguments) as response:
            if response.status_code != httpx.codes.OK:
                response.read()
                result(call, answer_of(response))
            check_stream(call, response)
            yield response.iter_bytes()

    def _persist(
        self, call: Call[T], attempt: Callable[[Call[T]], Answer | APIConnectionError]
    ) -> T:
        tries = 0
        while True:
            tries += 1
            outcome = attempt(call)
            delay = self._server.delay(call, outcome, tries=tries)
            if delay is None:
                return value_of(call, outcome, tries=tries)
            sleep(delay)

    def _try(self, call: Call[T]) -> Answer | APIConnectionError:
        content = call.content if call.file is None else _chunks(call)
        try:
            with self._server.translated(call):
                arguments = self._server.request_arguments(call)
                return answer_of(self._http.request(content=content, **arguments))
        except APIConnectionError as error:
            return error

    def _try_into(self, part: Path, call: Call[None]) -> Answer | APIConnectionError:
        """One try of a download: a success goes into the file, another answer into memory."""
        try:
            with self._server.translated(call):
                arguments = self._server.request_arguments(call)
                with self._http.stream(content=call.content, **arguments) as response:
                    if response.status_code != httpx.codes.OK:
                        response.read()
                        return answer_of(response)
                    with part.open("wb") as file:
                        sink = Sink(file)
                        for chunk in response.iter_bytes(_DOWNLOAD_CHUNK_BYTES):
                            in_thread(sink.write, chunk)
                        in_thread(sink.finish, response.headers)
                    return Answer(response.status_code, {}, b"")
        except APIConnectionError as error:
            return error


def _chunks(call: Call[T]) -> Iterator[bytes]:
    if call.file is not None:
        file: IO[bytes]
        with call.file.open("rb") as file:
            while chunk := in_thread(file.read, _UPLOAD_CHUNK_BYTES):
                yield chunk

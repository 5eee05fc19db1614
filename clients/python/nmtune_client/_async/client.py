"""Home of `AsyncClient`, the asynchronous sender of calls, for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar

import httpx

from nmtune_client._async.heads import AsyncHeads
from nmtune_client._async.resources import AsyncDatasets, AsyncJobs
from nmtune_client._http.download import Sink, check_place, downloading
from nmtune_client._http.errors import APIConnectionError, ConflictError, PayloadTooLargeError
from nmtune_client._http.proxy import shown
from nmtune_client._http.retry import RetryPolicy
from nmtune_client._http.server import Server, answer_of, check_stream, value_of
from nmtune_client._http.wire import Answer, Call, result
from nmtune_client._predict.answers import HeadLike, Options, Output
from nmtune_client._predict.batches import AT_ONCE, Batches
from nmtune_client._predict.result import Prediction
from nmtune_client._predict.whole_file import ROWS_KEPT_SECONDS, format_of
from nmtune_client._provider_keys import AsyncProviderKeys
from nmtune_client._types import HeadVersion, JobData

T = TypeVar("T")

_UPLOAD_CHUNK_BYTES = 1 << 18
_DOWNLOAD_CHUNK_BYTES = 1 << 18
# Of all tasks together. A server answers 429 where too many wait, and httpx's pool slows down with
# the number of requests that wait for a connection.
_MOST_PREDICTIONS_AT_ONCE = 32


class AsyncClient:
    """Talks to one NMTune server as `Client` does, in asyncio; used with `async with`.

    Its methods are those of `Client`, to be awaited; listings and events are for `async for`. One
    client serves any number of tasks. A task that is cancelled closes the connection it was using,
    and no other.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        timeout: float = 60.0,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._server = Server.at(base_url, timeout=timeout, retry=retry)
        self.base_url = self._server.base_url
        self._http = httpx.AsyncClient(**self._server.client_arguments())
        self._turns = asyncio.Semaphore(_MOST_PREDICTIONS_AT_ONCE)
        self.datasets = AsyncDatasets(self)
        self.jobs = AsyncJobs(self, self.datasets)
        self.heads = AsyncHeads(self)
        self.provider_keys = AsyncProviderKeys(self)

    def __repr__(self) -> str:
        return f"AsyncClient({shown(self.base_url)!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; the client cannot be used any more."""
        await self._http.aclose()

    async def predict(
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
    ) -> Prediction:
        """Classify embeddings (n, d) or texts with a head; the arguments of `Client.predict`."""
        options = Options(
            output=output,
            top_k=top_k,
            abstain_below=abstain_below,
            conformal_level=conformal_level,
            ood=ood,
        )
        batches = Batches(head, embeddings, options, texts=texts)
        while True:
            try:
                first = await self._send_in_turn(batches.first())
                break
            except PayloadTooLargeError:
                if not batches.shrink():
                    raise
        version: HeadVersion | None = None
        if (ask_classes := batches.class_names(first)) is not None:
            version = await self.send(ask_classes)
        rest = await self._send_all(batches.rest(first))
        return batches.joined([first, *rest], version)

    async def predict_file(
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
        embedding: str | None = None,
        text: str | None = None,
        id: str | None = None,  # noqa: A002  the API's word
        queue: str | None = None,
        priority: int | None = None,
        timeout: float | None = None,
        progress: bool | Callable[[JobData], None] = False,
    ) -> Path:
        """Predict all rows of a file with a head, as a job; as `Client.predict_file`."""
        form = format_of(to, format)
        check_place(Path(to))  # before anything is sent
        dataset = await self.datasets.upload(
            source,
            embedding=embedding,
            text=text,
            id=id,
            unlabelled=True,
            keep_seconds=ROWS_KEPT_SECONDS,
        )
        try:
            job = await self.jobs.predict(
                dataset,
                head=head,
                format=form,
                output=output,
                top_k=top_k,
                abstain_below=abstain_below,
                conformal_level=conformal_level,
                ood=ood,
                queue=queue,
                priority=priority,
            )
            await job.wait(timeout, progress=progress)
        finally:
            with suppress(ConflictError, APIConnectionError):  # the job goes on and needs it
                await self.datasets.delete(dataset.id)
        return await job.output(to)

    async def send(self, call: Call[T]) -> T:
        """Send a call, again if the retry policy says so, and return its value."""
        return await self._persist(call, self._try)

    async def download(self, call: Call[None], path: Path) -> None:
        """Send a call as `send` does, and write its answer's bytes to `path`, whole or not at all.

        Bytes that do not have the answer's Repr-Digest count as a broken connection.
        """
        with downloading(path) as part:
            await self._persist(call, partial(self._try_into, part))

    @asynccontextmanager
    async def open_stream(
        self, call: Call[None], *, read_seconds: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Send a call once, and give the bytes of its event stream; as `Client.open_stream`."""
        arguments = self._server.stream_arguments(call, read_seconds=read_seconds)
        with self._server.translated(call):
            async with self._http.stream(**arguments) as response:
                if response.status_code != httpx.codes.OK:
                    await response.aread()
                    result(call, answer_of(response))
                check_stream(call, response)
                yield response.aiter_bytes()

    async def _persist(
        self, call: Call[T], attempt: Callable[[Call[T]], Awaitable[Answer | APIConnectionError]]
    ) -> T:
        tries = 0
        while True:
            tries += 1
            outcome = await attempt(call)
            delay = self._server.delay(call, outcome, tries=tries)
            if delay is None:
                return value_of(call, outcome, tries=tries)
            await asyncio.sleep(delay)

    async def _try(self, call: Call[T]) -> Answer | APIConnectionError:
        content = call.content if call.file is None else _chunks(call)
        try:
            with self._server.translated(call):
                arguments = self._server.request_arguments(call)
                return answer_of(await self._http.request(content=content, **arguments))
        except APIConnectionError as error:
            return error

    async def _try_into(self, part: Path, call: Call[None]) -> Answer | APIConnectionError:
        """One try of a download: a success goes into the file, another answer into memory."""
        try:
            with self._server.translated(call):
                arguments = self._server.request_arguments(call)
                async with self._http.stream(**arguments) as response:
                    if response.status_code != httpx.codes.OK:
                        await response.aread()
                        return answer_of(response)
                    with part.open("wb") as file:
                        sink = Sink(file)
                        async for chunk in response.aiter_bytes(_DOWNLOAD_CHUNK_BYTES):
                            await asyncio.to_thread(sink.write, chunk)
                        await asyncio.to_thread(sink.finish, response.headers)
                    return Answer(response.status_code, {}, b"")
        except APIConnectionError as error:
            return error

    async def _send_in_turn(self, call: Call[T]) -> T:
        async with self._turns:
            return await self.send(call)

    async def _send_all(self, calls: Sequence[Callable[[], Call[T]]]) -> list[T]:
        """The values of all calls, in their order, a few under way at a time.

        The first error, or a cancellation, ends them all.
        """
        values: dict[int, T] = {}
        waiting = iter(enumerate(calls))

        async def work() -> None:
            for place, make in waiting:
                values[place] = await self._send_in_turn(make())

        workers = [asyncio.create_task(work()) for _ in range(min(AT_ONCE, len(calls)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return [values[place] for place in range(len(calls))]


async def _chunks(call: Call[T]) -> AsyncIterator[bytes]:
    if call.file is not None:
        file: IO[bytes]
        with call.file.open("rb") as file:
            while chunk := await asyncio.to_thread(file.read, _UPLOAD_CHUNK_BYTES):
                yield chunk

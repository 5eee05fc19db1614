"""Batch predictions: one forward pass at a time, of what arrived while the last one ran.

There is no timer: a request that finds nothing running is answered at once. Under load the requests
that arrived during a pass share the next one, whose cost per row falls sixfold. At most
`max_requests` wait, with `max_rows` rows in all; further ones are refused, so no queue grows.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

import numpy as np

from nmtune.serving.answers import Answers
from service.http.errors import Problem
from service.predict.loaded_heads import too_large

if TYPE_CHECKING:
    from nmtune.serving.folded import Matrix
    from nmtune.serving.session import Session

BATCH_ROWS: Final = 1024
"""Rows of one pass; a larger request takes several passes and lets others in between."""

INLINE_PRODUCTS: Final = 1 << 25
"""Passes of up to so many multiplications, about a millisecond, run on the event loop: a thread
would have to be woken and to get the interpreter's lock."""

RETRY_AFTER_SECONDS: Final = 1


class _WaitingRows:
    """One request's rows, answered pass by pass."""

    __slots__ = ("answers", "future", "n_taken", "x")

    def __init__(self, x: "Matrix", future: "asyncio.Future[Answers]") -> None:
        self.x = x
        self.future = future
        self.n_taken = 0
        self.answers: list[Answers] = []


class Batcher:
    """Runs sessions for the requests of an event loop, together where they are for one head."""

    def __init__(self, *, max_requests: int, max_rows: int) -> None:
        self.max_requests = max_requests
        self.max_rows = max_rows
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = WeakKeyDictionary()

    def check_room(self, n_rows: int = 0) -> None:
        """Raise Problem 429 if so many more rows cannot wait; cheap enough to ask twice."""
        line = self._line()
        is_full = line.n_waiting >= self.max_requests
        if is_full or (line.n_waiting and line.n_rows + n_rows > self.max_rows):
            raise too_busy()

    async def run(self, session: "Session", x: "Matrix") -> Answers:
        """The session's answers for checked x (n, d); raises Problem 429 if too many wait."""
        self.check_room(len(x))
        line = self._line()
        line.n_waiting += 1
        line.n_rows += len(x)
        try:
            return await line.add(session, x)
        finally:
            line.n_waiting -= 1
            line.n_rows -= len(x)

    def _line(self) -> "_Line":
        loop = asyncio.get_running_loop()
        line = self._lines.get(loop)
        if line is None:
            line = self._lines[loop] = _Line(loop, self._threads)
        return line

    def close(self) -> None:
        """End the thread once the running pass is finished."""
        self._threads.shutdown()


class _Line:
    """The requests that wait on one event loop, by session; the sessions take turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: ThreadPoolExecutor) -> None:
        self.n_waiting = 0
        """Requests that wait for a pass or are in one."""
        self.n_rows = 0
        """Their rows."""
        self._loop = loop
        self._threads = threads
        self._waiting: dict[Session, deque[_WaitingRows]] = {}
        self._pump: asyncio.Task[None] | None = None

    def add(self, session: "Session", x: "Matrix") -> "asyncio.Future[Answers]":
        asked = _WaitingRows(x, self._loop.create_future())
        self._waiting.setdefault(session, deque()).append(asked)
        if self._pump is None:
            self._pump = self._loop.create_task(self._run())
        return asked.future

    async def _run(self) -> None:
        """Pass after pass until nobody waits."""
        try:
            while self._waiting:
                session, batch = self._take()
                if not batch:
                    continue
                try:
                    _deliver(batch, await self._pass(session, _joined(batch)))
                except Exception as error:  # noqa: BLE001 - it goes to the requests of this batch
                    _fail(batch, error)
                await asyncio.sleep(0)  # the answers go out and new requests come in
        finally:
            self._pump = None

    async def _pass(self, session: "Session", x: "Matrix") -> Answers:
        if len(x) * session.n_products <= INLINE_PRODUCTS:
            return session.run(x)
        return await self._loop.run_in_executor(self._threads, session.run, x)

    def _take(self) -> "tuple[Session, list[tuple[_WaitingRows, int, int]]]":
        """The next session's rows, at most BATCH_ROWS: whose, from which row and to which."""
        session = next(iter(self._waiting))
        line = self._waiting.pop(session)
        batch: list[tuple[_WaitingRows, int, int]] = []
        room, unfinished = BATCH_ROWS, []
        while line and room:
            asked = line.popleft()
            if asked.future.done():  # its client has left
                continue
            start = asked.n_taken
            asked.n_taken = min(len(asked.x), start + room)
            batch.append((asked, start, asked.n_taken))
            room -= asked.n_taken - start
            if asked.n_taken < len(asked.x):
                unfinished.append(asked)
        line.extend(unfinished)
        if line:
            self._waiting[session] = line  # at the end: the other sessions go first
        return session, batch


def _joined(batch: list[tuple[_WaitingRows, int, int]]) -> "Matrix":
    if len(batch) == 1:
        asked, start, stop = batch[0]
        return asked.x[start:stop]
    return np.concatenate([asked.x[start:stop] for asked, start, stop in batch])


def _deliver(batch: list[tuple[_WaitingRows, int, int]], answers: Answers) -> None:
    at = 0
    is_finite = bool(np.isfinite(answers.scores).all())  # of all at once: it nearly always is
    for asked, start, stop in batch:
        if not is_finite:
            _refuse_too_large(asked, start, answers.rows(at, at + stop - start))
        asked.answers.append(answers.rows(at, at + stop - start))
        at += stop - start
        if stop == len(asked.x) and not asked.future.done():
            parts = asked.answers
            whole = (
                parts[0]
                if len(parts) == 1
                else Answers(*map(np.concatenate, zip(*parts, strict=True)))
            )
            asked.future.set_result(whole)


def _refuse_too_large(asked: _WaitingRows, start: int, answers: Answers) -> None:
    """Fail the request if one of its rows left float32's range on its way through the head."""
    finite = np.isfinite(answers.scores).all(axis=1)
    if not finite.all() and not asked.future.done():
        asked.future.set_exception(too_large(start + int(finite.argmin())))


def _fail(batch: list[tuple[_WaitingRows, int, int]], error: Exception) -> None:
    for asked, _, _ in batch:
        if not asked.future.done():
            asked.future.set_exception(error)


def too_busy(headers: Mapping[str, str] | None = None) -> Problem:
    """The refusal of a prediction that would have to wait too long."""
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too_busy",
        "Too many predictions are queued. Send this one again after Retry-After seconds; fewer and "
        "larger requests are served fastest.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS), **(headers or {})},
    )

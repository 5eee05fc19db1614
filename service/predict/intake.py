"""Take predictions in ahead of the router, whose overhead exceeds a one-row prediction.

For one row the router, its dependencies and its response take as long as all the rest. So a door
answers by itself. What all doors do is here: check the key, have room before anything is read, read
the body within what all bodies together may take, parse it, pay for its rows, count them.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, Generic, Protocol, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from service.http import scopes
from service.http.identity import Identity, identity_of
from service.http.layers.exchange import Answer, Exchange
from service.limits.meter import METER, Meter
from service.predict.batching import too_busy
from service.predict.predictor import Predictor

LARGE_BYTES: Final = 64 * 1024
"""Larger texts of JSON are parsed in a thread, so that the event loop goes on."""

_PARSERS: Final = 2

A = TypeVar("A")
B = TypeVar("B")


class BodyBudget:
    """Bounds the bytes of bodies that all requests together may hold at once."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0

    def check(self, n_bytes: int) -> None:
        """Raise Problem 429 if there is no room for so many. A single body always has room."""
        if self.n_bytes and self.n_bytes + n_bytes > self.max_bytes:
            # The unread part of the body is still on its way.
            raise too_busy(headers={"Connection": "close"})

    @contextmanager
    def held(self) -> Iterator["_Held"]:
        """Count what one request takes; at the end it is given back."""
        held = _Held(self)
        try:
            yield held
        finally:
            self.n_bytes -= held.n_bytes


class _Held:
    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.n_bytes = 0

    def take(self, n_bytes: int) -> None:
        if self._budget.n_bytes > self.n_bytes:  # not only this one
            self._budget.check(n_bytes)
        self._budget.n_bytes += n_bytes
        self.n_bytes += n_bytes


class _Rows(Protocol):
    @property
    def n_rows(self) -> int: ...


Asked = TypeVar("Asked", bound=_Rows)


class Door(ABC, Generic[Asked]):
    """Answers the requests of one path."""

    def __init__(self, *, predictor: Predictor, bodies: BodyBudget) -> None:
        """bodies: of all doors together."""
        self.predictor = predictor
        self._budget = bodies
        self._threads = ThreadPoolExecutor(_PARSERS, thread_name_prefix="parse")

    async def answer(self, exchange: Exchange) -> Answer:
        """The answer. Raises what `service.http.errors.problem_of` knows."""
        identity = identity_of(exchange.scope)
        scopes.check(identity, "predict")
        self.predictor.batcher.check_room()
        read, is_text = self.reader(exchange)
        meter: Meter = exchange.scope[METER]
        with self._budget.held() as held:
            # Not taken yet, or a slow client would hold what others need.
            self._budget.check(exchange.announced)
            body = await _read(exchange.receive, held)
            self.predictor.batcher.check_room()
            asked = await self.beside_if(is_text and len(body) >= LARGE_BYTES, read, body)
            del body
            await meter.take_rest(asked.n_rows)
            answer = await self.answered(exchange, identity, asked)
        meter.count(asked.n_rows)
        return answer

    async def beside_if(self, is_slow: bool, work: Callable[[A], B], what: A) -> B:
        """The work's result: from a thread, if it would hold up the event loop."""
        if not is_slow:
            return work(what)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, what)

    @abstractmethod
    def takes(self, exchange: Exchange) -> bool:
        """Whether a POST is for this door; if so, its route is put into the scope."""

    @abstractmethod
    def reader(self, exchange: Exchange) -> tuple[Callable[[bytes], Asked], bool]:
        """What parses the body, and whether that is text. Raises what is wrong with the head."""

    @abstractmethod
    async def answered(self, exchange: Exchange, identity: Identity, asked: Asked) -> Answer:
        """The answer to what was asked."""


async def _read(receive: Receive, held: _Held) -> bytes:
    """The whole body, counted as it comes."""
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        parts.append(part)
        held.take(len(part))
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)

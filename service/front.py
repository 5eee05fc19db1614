"""What every request passes before it is served, in one straight pass: `Front`.

Whether the host is ours, who asks, how often they may, how much they may send; a request id, one
log line, the metrics, and the one shape of errors. Then a prediction goes to its door, which
answers by itself, and everything else to the router.
"""

import logging
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.who import Access, is_open
from service.http.errors import Problem, internal_problem, problem_of
from service.http.identity import KEY
from service.http.layers import metrics, request_id
from service.http.layers.bodies import BodyLimits
from service.http.layers.deadlines import Deadlines
from service.http.layers.exchange import Answer, Exchange
from service.http.layers.gate import Gate
from service.limits.classes import RequestClass, class_of
from service.limits.limiter import Limiter
from service.limits.meter import METER, Meter
from store.access.secrets import without_keys

logger = logging.getLogger(__name__)


class Door(Protocol):
    """Answers some predictions by itself, ahead of the router."""

    def takes(self, exchange: Exchange) -> bool:
        """Whether the request, a POST, is for this door; if so, its route is in the scope."""

    async def answer(self, exchange: Exchange) -> Answer:
        """The answer. Raises what `problem_of` knows."""


class Front:
    """The outermost layer."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        gate: Gate,
        access: Access,
        limiter: Limiter,
        limits: BodyLimits,
        doors: Sequence[Door],
    ) -> None:
        self._app = app
        self._gate = gate
        self._access = access
        self._limiter = limiter
        self._limits = limits
        self._deadlines = Deadlines()
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, limits=self._limits, deadlines=self._deadlines)
        request_id.bind(exchange.id)
        metrics.IN_FLIGHT.inc()
        try:
            await self._serve(exchange)
        except ClientDisconnect:
            pass
        except Exception:
            logger.exception("request.crashed request_id=%s", exchange.id)
            if exchange.status is not None:
                raise  # half an answer is out: only breaking the connection tells the client
            await exchange.refuse(internal_problem())
        finally:
            metrics.IN_FLIGHT.dec()
            _note(exchange)

    async def _serve(self, exchange: Exchange) -> None:
        scope = exchange.scope
        try:
            request_class = await self._let_in(exchange)
            door = self._door(exchange) if request_class is RequestClass.PREDICT else None
            if door is None:
                await self._app(scope, exchange.receive, exchange.send)
                return
            answer = await door.answer(exchange)
        except Exception as error:
            problem = problem_of(error)
            if problem is None or exchange.status is not None:
                raise
            await exchange.refuse(problem)
            return
        await exchange.answer(answer)

    async def _let_in(self, exchange: Exchange) -> RequestClass | None:
        """Raise Problem unless the request may come in; before anything of its body is read."""
        scope, path = exchange.scope, exchange.path
        self._gate.check(scope, path)
        scope[KEY] = who = self._access.at_once(scope) or await self._access.found(scope, path)
        request_class = class_of(scope["method"], path)
        if isinstance(who, Problem):
            if not is_open(path):
                raise who
        elif request_class is not None:
            allowance = self._limiter.known(who) or await self._limiter.of(who)
            scope[METER] = meter = Meter(self._limiter, allowance, who.bucket, request_class)
            await meter.take_first()
            exchange.more_headers = meter.headers
        exchange.check_size(exchange.announced)
        return request_class

    def _door(self, exchange: Exchange) -> Door | None:
        if exchange.scope["method"] != "POST":
            return None
        return next((door for door in self._doors if door.takes(exchange)), None)


def _note(exchange: Exchange) -> None:
    """Count and log a request that has come to its end."""
    scope, status = exchange.scope, exchange.status or metrics.CLIENT_LEFT
    metrics.note(scope, status, exchange.seconds)
    logger.info(
        "request.finished method=%s path=%s status=%s seconds=%.4f request_id=%s",
        scope["method"],
        _shown(scope["path"][:200]),
        status,
        time.perf_counter() - exchange.began,
        exchange.id,
    )


@lru_cache(maxsize=1024)
def _shown(path: str) -> str:
    """The path in one line of the log, without what may be a key."""
    return quote(without_keys(path), safe="/@:")

"""Serve POST /predict ahead of the router, whose overhead exceeds a one-row prediction.

For one row the router, its dependencies and its response take as long as all the rest. So this
layer answers by itself, inside the same guards, metrics and log as every route.
`service.predict.routes` documents it for /docs.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from service.http import json_body
from service.http.errors import problem_of
from service.http.identity import Identity, check_head, identity_of
from service.limits.allowance import Allowance
from service.limits.classes import PREDICT_PATH, RequestClass
from service.limits.limiter import Limiter
from service.predict import rendering, request_body, trust
from service.predict.batching import too_busy
from service.predict.options import PredictionQuery, read_query
from service.predict.predictor import Predictor
from service.predict.rendering import Answer
from service.predict.request_body import JSON, Request
from service.predict.texts import TextPredictor, check_encoder
from store.access.usage import Kind

PATH: Final = PREDICT_PATH

LARGE_BYTES: Final = 64 * 1024
"""Larger JSON bodies are parsed in a thread, so that the event loop goes on; other bodies are
arrays already."""

_PARSERS: Final = 2


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


class PredictDoor:
    """Answers POST /predict, and passes everything else on."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        predictor: Predictor,
        text_predictor: TextPredictor,
        route: BaseRoute,
        bodies: BodyBudget,
        limiter: Limiter,
    ) -> None:
        """route: its name in the metrics. bodies: of all predictions, also under `/v2`."""
        self.app = app
        self._predictor = predictor
        self._text_predictor = text_predictor
        self._route = route
        self._budget = bodies
        self._limiter = limiter
        self._threads = ThreadPoolExecutor(_PARSERS, thread_name_prefix="parse")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "POST" or not _is_ours(scope):
            await self.app(scope, receive, send)
            return
        scope["route"] = self._route
        try:
            body, headers = await self._answer(scope, receive)
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                raise
            await problem.response()(scope, receive, send)
            return
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        identity = identity_of(scope)
        allowance = self._limiter.known(identity) or await self._limiter.of(identity)
        # Before anything is read: refusing must be cheap.
        await allowance.take(identity.bucket, RequestClass.PREDICT)
        self._predictor.batcher.check_room()
        content_type, accept, shape, length = _headers(scope)
        query = read_query(scope["query_string"])
        with self._budget.held() as held:
            self._budget.check(
                length
            )  # not taken yet, or a slow client would hold what others need
            body = await _read(receive, held)
            self._predictor.batcher.check_room()
            asked = await self._parsed(body, content_type, shape, query)
            del body
            form = rendering.media_type(accept)
            n_rows = len(asked.x) if asked.texts is None else len(asked.texts)
            if n_rows > 1:
                await allowance.take(identity.bucket, RequestClass.PREDICT, n_rows, paid=1)
            answer, headers = await self._answered(identity, asked, form, allowance)
        self._limiter.count(allowance, Kind.PREDICTED_ROWS, n_rows)
        if allowance.buckets:
            headers += allowance.headers(identity.bucket, RequestClass.PREDICT)
        return answer, headers

    async def _parsed(
        self, body: bytes, content_type: str, shape: str | None, query: PredictionQuery
    ) -> Request:
        def read() -> Request:
            return request_body.read(
                body,
                content_type=content_type,
                shape_header=shape,
                query=query,
                max_rows=self._predictor.max_rows,
                max_texts=self._text_predictor.max_texts,
            )

        if len(body) < LARGE_BYTES or not json_body.is_json(content_type):
            return read()
        return await asyncio.get_running_loop().run_in_executor(self._threads, read)

    async def _answered(
        self, identity: Identity, asked: Request, form: str, allowance: Allowance
    ) -> Answer:
        predictor, tenant = self._predictor, identity.tenant_id
        reference, x, options, texts, encoder = asked
        check_head(identity, reference)
        pinned, shares = reference, options.class_shares
        if texts is not None:
            allowance.check_tokens()
            embedded = await self._text_predictor.embed(predictor, tenant, reference, texts)
            pinned, x = embedded.reference, embedded.x
            shares = embedded.class_shares if shares is None else shares
            self._limiter.count(allowance, Kind.EMBEDDED_TOKENS, embedded.n_tokens)
        if encoder is not None:
            check_encoder((await predictor.serving(tenant, reference)).version, encoder)
        if options.output == "embeddings":
            serving, z = await predictor.transform(tenant, pinned, x)
            return rendering.of_embeddings(z, serving, reference, options, form)
        found = await predictor.answer(tenant, pinned, x, shares)
        if form == JSON:
            said = await trust.of_rows(found, x, options)
            return rendering.of_prediction(found, reference, options, form, said)
        return rendering.of_prediction(found, reference, options, form)


def _is_ours(scope: Scope) -> bool:
    path: str = scope["path"]
    return path == PATH or path.removeprefix(scope.get("root_path", "")) == PATH


def _headers(scope: Scope) -> tuple[str, bytes, str | None, int]:
    """Content-Type, Accept, X-Shape and Content-Length (0 if there is none)."""
    content_type, accept, shape, length = "", b"", None, 0
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value.decode("latin-1")
        elif name == b"accept":
            accept = value
        elif name == b"x-shape":
            shape = value.decode("latin-1")
        elif name == b"content-length" and value.isdigit():
            length = int(value[:20])
    return content_type, accept, shape, length


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

"""Idempotency-Key: do a request once, and send its first answer again."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import orjson
from anyio import to_thread
from fastapi import Header, Request, Response

from service.http.validation import KEY_PATTERN
from store import idempotency
from store.database.connection import Transaction
from store.errors import Conflict
from store.idempotency import StoredResponse
from store.store import Store

REPLAYED_HEADER: Final = "Idempotent-Replayed"

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=KEY_PATTERN,
        description="Any string that is new for each thing you create. The same request with the "
        "same key gets the first answer again and creates nothing.",
        examples=["pets-2026-11-24-1"],
    ),
]


@dataclass(frozen=True, kw_only=True)
class Key:
    """An Idempotency-Key, and the hash of the request that it came with."""

    key: str
    request_hash: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What to answer, and whether an earlier request was answered so."""

    response: StoredResponse
    is_replay: bool

    @property
    def id(self) -> str:
        """The id of what was created."""
        made_id: str = orjson.loads(self.response.body)["id"]
        return made_id


def described_headers(what: str) -> dict[str, Any]:
    """The headers of an answer that created `what`, as OpenAPI describes them."""
    return {
        "Location": {"description": what, "schema": {"type": "string"}},
        REPLAYED_HEADER: {
            "description": "true if this is the first answer to the key, again.",
            "schema": {"type": "string"},
        },
    }


def request_hash(path: str, *, content_type: str, body_sha256: str, extra: str = "") -> str:
    """A hash that is the same for two requests if path, content type, body and `extra` are."""
    parts = (path, content_type, body_sha256, extra)
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


async def key_of(request: Request, idempotency_key: str | None) -> Key | None:
    """The request's Idempotency-Key, with the hash of the request."""
    if idempotency_key is None:
        return None
    body = await request.body()
    digest = await to_thread.run_sync(lambda: hashlib.sha256(body).hexdigest())
    content_type = request.headers.get("content-type", "")
    hashed = request_hash(request.url.path, content_type=content_type, body_sha256=digest)
    return Key(key=idempotency_key, request_hash=hashed)


def earlier(store: Store, tenant_id: str, key: Key | None) -> Answer | None:
    """The answer to an earlier request with this key. Call it before doing any work."""
    if key is None:
        return None
    with store.database.read() as tx:
        found = idempotency.find(tx, tenant_id, key.key, request_hash=key.request_hash)
    return None if found is None else Answer(response=found, is_replay=True)


def once(
    store: Store, tenant_id: str, key: Key | None, act: Callable[[Transaction], StoredResponse]
) -> Answer:
    """Do `act` and keep its answer, in one transaction; undo it if the key was answered meanwhile.

    Call `earlier` first. Raises IdempotencyKeyReused, and whatever `act` raises: nothing is kept.
    """
    try:
        with store.database.begin() as tx:
            response = act(tx)
            if key is not None:
                idempotency.save(
                    tx,
                    tenant_id,
                    key.key,
                    request_hash=key.request_hash,
                    status_code=response.status_code,
                    body=response.body,
                )
    except Conflict:  # of two requests with the key, the other one was faster
        if (found := earlier(store, tenant_id, key)) is None:
            raise
        return found
    return Answer(response=response, is_replay=False)


def http_response(answer: Answer, *, collection: str) -> Response:
    """The answer over HTTP, its Location under `/{collection}/`; a header marks a replay."""
    headers = {"Location": f"/{collection}/{answer.id}"}
    if answer.is_replay:
        headers[REPLAYED_HEADER] = "true"
    response = answer.response
    return Response(response.body, response.status_code, headers, media_type="application/json")

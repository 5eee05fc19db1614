"""What the calls of all nouns are made of: bodies, headers, and readers of answers."""

import json
import uuid
from collections.abc import Callable
from typing import TypeVar

from nmtune_client._http.values import Page
from nmtune_client._http.wire import Answer

T = TypeVar("T")


def nothing(_: Answer) -> None:
    """Read an answer that has no body: there is nothing to read."""


def parser(read: Callable[[object], T]) -> Callable[[Answer], T]:
    """Read an answer's JSON by `read`."""
    return lambda answer: read(answer.json())


def page_of(read: Callable[[object], T]) -> Callable[[Answer], Page[T]]:
    """Read a page of a listing, each item by `read`."""

    def parse(answer: Answer) -> Page[T]:
        data = answer.json()
        items = tuple(read(item) for item in data["items"])
        return Page(items=items, next_cursor=data.get("next_cursor"))

    return parse


def body(data: object) -> bytes:
    """Write JSON for a request; ValueError for NaN."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).encode()


def post_headers(content_type: str | None, key: str | None = None) -> dict[str, str]:
    """Headers of a POST: one Idempotency-Key, so that sending it again changes nothing."""
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    return headers | ({"Content-Type": content_type} if content_type else {})


def params_of(**values: str | int | None) -> dict[str, str]:
    """Write query parameters, without those that are None."""
    return {name: str(value) for name, value in values.items() if value is not None}

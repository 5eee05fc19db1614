"""Requests and answers, the same for the sync and the async client; no I/O."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from nmtune_client._http.errors import BadResponseError, status_error

T = TypeVar("T")


@dataclass(frozen=True)
class Route:
    """A method and a path template of the API."""

    method: str
    template: str

    def path(self, ids: Mapping[str, str | int]) -> str:
        """The template filled in, each value quoted so that it stays one path segment."""
        for name, value in ids.items():
            if str(value) in {"", ".", ".."}:
                raise ValueError(f"{name} {str(value)!r} is not a name or an id")
        return self.template.format(
            **{name: quote(str(value), safe="") for name, value in ids.items()}
        )


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end; the keys of `headers` are lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """The content as JSON; ValueError if it is not JSON."""
        return json.loads(self.content)


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """One request, and the function that turns its answer into a value.

    `ids` fill the route's path. The body is `content`, or the bytes of `file`, read anew on each
    try. `extra_read_seconds` is how much longer than usual the answer may take. `once`: never
    tried again, for a second try would do it twice.
    """

    route: Route
    parse: Callable[[Answer], T]
    ids: Mapping[str, str | int] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = field(default=None, repr=False)
    file: Path | None = None
    extra_read_seconds: float = 0.0
    once: bool = False
    path: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", self.route.path(self.ids))

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.route.method


def result(call: Call[T], answer: Answer, *, tries: int = 1) -> T:
    """What the answer means: the parsed value, or the error it stands for, raised.

    A DELETE that was tried more than once and finds nothing has done its work: the first try
    arrived, and its answer was lost.
    """
    deleted = call.method == "DELETE" and tries > 1 and answer.status == 404
    if not 200 <= answer.status < 300 and not deleted:
        raise status_error(
            answer.status,
            _json_or_none(answer),
            request_id=answer.headers.get("x-request-id"),
            fallback=_fallback_detail(answer),
        )
    try:
        return call.parse(answer)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise BadResponseError(
            f"{call.method} {call.path} answered {answer.status} with something else than expected "
            f"({error}); is this an NMTune server of a matching version?"
        ) from error


def _json_or_none(answer: Answer) -> object:
    try:
        return answer.json()
    except ValueError:
        return None


def _fallback_detail(answer: Answer) -> str:
    if location := answer.headers.get("location"):
        return f"the server redirects to {location}; use that address as the base URL"
    text = answer.content[:200].decode("utf-8", "replace").strip()
    return text if text and not text.startswith(("<", "{")) else "the server gave no reason"

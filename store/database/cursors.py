"""Paging: a page of a list, and the opaque cursor between two pages."""

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ColumnElement, Row, Select, literal, tuple_

from store.errors import InvalidCursor

T = TypeVar("T")
AnyRow = Row[*tuple[Any, ...]]
MAX_LIMIT: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAYLOAD = re.compile(r"(?P<at>\d{1,18})\.(?P<key>[A-Za-z0-9][A-Za-z0-9._-]{0,63})")
_PLACE = re.compile(r"\d{1,18}")


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list, newest first; `next_cursor` is None on the last page."""

    items: tuple[T, ...]
    next_cursor: str | None


def encode(kind: str, at: datetime, key: str) -> str:
    """The cursor that continues the list `kind` after the row (`at`, `key`)."""
    return _sealed(kind, f"{(at - _EPOCH) // timedelta(microseconds=1)}.{key}")


def decode(kind: str, cursor: str) -> tuple[datetime, str]:
    """The row that `cursor` stands for. Raises InvalidCursor unless `encode` made it.

    The digest is no secret: it catches edits, truncation and another list's cursor. A forged cursor
    does no harm, since it only says where in the tenant's own list to continue.
    """
    match = _PAYLOAD.fullmatch(_opened(kind, cursor))
    if match is None:
        raise _invalid()
    try:
        at = _EPOCH + timedelta(microseconds=int(match["at"]))
    except OverflowError as error:
        raise _invalid() from error
    if encode(kind, at, match["key"]) != cursor:  # leading zeros
        raise _invalid()
    return at, match["key"]


def encode_place(kind: str, place: int) -> str:
    """The cursor that continues the list `kind`, whose items are numbered, at `place`."""
    return _sealed(kind, str(place))


def decode_place(kind: str, cursor: str) -> int:
    """The place that `cursor` stands for. Raises InvalidCursor unless `encode_place` made it."""
    payload = _opened(kind, cursor)
    if _PLACE.fullmatch(payload) is None or encode_place(kind, int(payload)) != cursor:
        raise _invalid()
    return int(payload)


def paged(
    select: Select[Any],
    created_at: ColumnElement[Any],
    key: ColumnElement[Any],
    *,
    kind: str,
    cursor: str | None,
    limit: int,
) -> Select[Any]:
    """`select`, newest first, from `cursor` on, with one row more than `limit` for `page_of`."""
    if cursor is not None:
        at, last = decode(kind, cursor)
        after = tuple_(literal(at, created_at.type), literal(last, key.type))
        select = select.where(tuple_(created_at, key) < after)
    return select.order_by(created_at.desc(), key.desc()).limit(check_limit(limit) + 1)


def page_of(
    rows: Sequence[AnyRow],
    record: Callable[[AnyRow], T],
    *,
    kind: str,
    limit: int,
    position: Callable[[T], tuple[datetime, str]],
) -> Page[T]:
    """The page from the rows of a `paged` statement; a row beyond `limit` means more pages."""
    items = tuple(record(row) for row in rows[:limit])
    more = len(rows) > limit
    return Page(items=items, next_cursor=encode(kind, *position(items[-1])) if more else None)


def check_limit(limit: int) -> int:
    """Return `limit`, the rows of one page, which the doors have already bounded."""
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"limit must be 1 to {MAX_LIMIT}, got {limit}")
    return limit


def _sealed(kind: str, payload: str) -> str:
    return base64.urlsafe_b64encode(_digest(kind, payload) + payload.encode()).decode().rstrip("=")


def _opened(kind: str, cursor: str) -> str:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        payload = raw[6:].decode("ascii")
    except ValueError as error:
        raise _invalid() from error
    if _sealed(kind, payload) != cursor:
        raise _invalid()
    return payload


def _invalid() -> InvalidCursor:
    return InvalidCursor(
        "This list did not give that cursor. Start again without a cursor, and pass on "
        "next_cursor unchanged."
    )


def _digest(kind: str, payload: str) -> bytes:
    return hashlib.blake2b(f"{kind}\0{payload}".encode(), digest_size=6).digest()

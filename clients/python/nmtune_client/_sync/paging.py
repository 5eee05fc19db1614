# Written by generate_sync.py out of _async/paging.py: edit that file, then run the script.
"""Listings, which are fetched page by page."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from nmtune_client._http.values import Page
from nmtune_client._http.wire import Call
from nmtune_client._sync.sender import Sender

T = TypeVar("T")

_MOST_A_PAGE = 100


def paged(
    sender: Sender,
    page: Callable[[str | None, int | None], Call[Page[T]]],
    *,
    limit: int | None,
) -> Iterator[T]:
    """The items of all pages one after the other, each page asked for when it is needed.

    page: the call for the page at a cursor, of so many items.
    """
    size = None if limit is None else max(1, min(limit, _MOST_A_PAGE))
    n_items = 0
    cursor: str | None = None
    while limit is None or n_items < limit:
        answer = sender.send(page(cursor, size))
        for item in answer.items:
            if n_items == limit:
                return
            n_items += 1
            yield item
        cursor = answer.next_cursor
        if cursor is None:
            return

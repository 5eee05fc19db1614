"""Sleeping, threads and turns without asyncio; `_async/concurrency.py` has the same names."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from nmtune_client._http.wire import Call
from nmtune_client._show.reprs import Listing

P = ParamSpec("P")
T = TypeVar("T")


def sleep(seconds: float) -> None:
    """Let `seconds` pass."""
    time.sleep(seconds)


def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function; the caller's own thread may wait for a disk."""
    return function(*args, **kwargs)


def listing(
    items: Iterator[T], *, header: tuple[str, ...], row: Callable[[T], tuple[str, ...]]
) -> Iterator[T]:
    """The items, shown as a table where their iterator is."""
    return Listing(items, header=header, row=row)


def on_demand(fetch: Callable[[], T]) -> Callable[[], T] | None:
    """What fetches a value when it is asked for."""
    return fetch


class Turns:
    """Lets a few calls of one prediction be under way at a time."""

    def __init__(self, most: int) -> None:
        """Nothing to keep: the threads that share a client are as many as its user starts."""

    def one(self, send: Callable[[Call[T]], T], call: Call[T]) -> T:
        """The value of a call."""
        return send(call)

    def all(
        self,
        send: Callable[[Call[T]], T],
        calls: Sequence[Callable[[], Call[T]]],
        *,
        at_once: int,
    ) -> list[T]:
        """The values of all calls, in their order.

        The first error ends them: those under way are waited for, the others are not sent.
        """
        if not calls:
            return []
        with ThreadPoolExecutor(min(at_once, len(calls)), "nmtune-predict") as threads:
            return list(threads.map(lambda make: self.one(send, make()), calls))

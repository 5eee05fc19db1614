"""Sleeping, threads and turns with asyncio; `_sync/concurrency.py` has the same names.

These two modules are all that is written by hand for each colour.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import ParamSpec, TypeVar

from nmtune_client._http.wire import Call

P = ParamSpec("P")
T = TypeVar("T")


async def sleep(seconds: float) -> None:
    """Let `seconds` pass."""
    await asyncio.sleep(seconds)


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that waits for a disk, beside the event loop."""
    return await asyncio.to_thread(function, *args, **kwargs)


def listing(
    items: AsyncIterator[T],
    *,
    header: tuple[str, ...],  # noqa: ARG001  a table cannot be fetched without awaiting
    row: Callable[[T], tuple[str, ...]],  # noqa: ARG001  as above
) -> AsyncIterator[T]:
    """The items as they are."""
    return items


def on_demand(fetch: Callable[[], Awaitable[T]]) -> Callable[[], T] | None:  # noqa: ARG001
    """None: code that does not await cannot fetch it."""
    return None


class Turns:
    """Lets a few calls be under way at a time, over all tasks that share a client."""

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)

    async def one(self, send: Callable[[Call[T]], Awaitable[T]], call: Call[T]) -> T:
        """The value of a call, once it is its turn."""
        async with self._free:
            return await send(call)

    async def all(
        self,
        send: Callable[[Call[T]], Awaitable[T]],
        calls: Sequence[Callable[[], Call[T]]],
        *,
        at_once: int,
    ) -> list[T]:
        """The values of all calls, in their order; an error or a cancellation ends them all."""
        values: dict[int, T] = {}
        waiting = iter(enumerate(calls))

        async def work() -> None:
            for place, make in waiting:
                values[place] = await self.one(send, make())

        workers = [asyncio.create_task(work()) for _ in range(min(at_once, len(calls)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return [values[place] for place in range(len(calls))]

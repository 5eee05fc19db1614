"""End what waits too long: one look at all who wait, several times a second, for a timer each costs
a request as much as reading its body."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

LOOK_SECONDS: Final = 0.1
"""How much later than asked a wait may end."""

T = TypeVar("T")


class Deadlines:
    """The waits of one application, on any event loop."""

    def __init__(self) -> None:
        self._waits: WeakKeyDictionary[asyncio.AbstractEventLoop, _Waits] = WeakKeyDictionary()

    async def wait(self, what: Callable[[], Awaitable[T]], seconds: float) -> T:
        """What `what` returns; TimeoutError if that takes longer."""
        loop = asyncio.get_running_loop()
        waits = self._waits.get(loop)
        if waits is None:
            waits = self._waits[loop] = _Waits()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - for the type checker: a coroutine runs in one
        waits.add(loop, task, loop.time() + seconds)
        try:
            return await what()
        except asyncio.CancelledError:
            if waits.has_ended(task) and not task.uncancel():
                raise TimeoutError from None
            raise  # somebody else cancelled it
        finally:
            waits.remove(task)


class _Waits:
    """Those of one event loop."""

    def __init__(self) -> None:
        self._ends: dict[asyncio.Task[object], float] = {}
        self._ended: set[asyncio.Task[object]] = set()
        self._is_looking = False

    def add(
        self, loop: asyncio.AbstractEventLoop, task: "asyncio.Task[object]", ends_at: float
    ) -> None:
        self._ends[task] = ends_at
        if not self._is_looking:
            self._is_looking = True
            loop.call_later(LOOK_SECONDS, self._look, loop)

    def has_ended(self, task: "asyncio.Task[object]") -> bool:
        return task in self._ended

    def remove(self, task: "asyncio.Task[object]") -> None:
        self._ends.pop(task, None)
        self._ended.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel the waits that took too long, and look again while anybody waits."""
        now = loop.time()
        for task in [task for task, ends_at in self._ends.items() if ends_at <= now]:
            del self._ends[task]
            self._ended.add(task)
            task.cancel()
        self._is_looking = bool(self._ends)
        if self._is_looking:
            loop.call_later(LOOK_SECONDS, self._look, loop)

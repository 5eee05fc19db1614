"""Waits that take too long end with TimeoutError, and only those."""

import asyncio

import pytest

from service.http.layers.deadlines import Deadlines


async def _sleeps(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


def test_each_wait_has_its_own_end() -> None:
    async def together() -> list[object]:
        deadlines = Deadlines()
        waits = [deadlines.wait(lambda: _sleeps(60), 0.01) for _ in range(3)]
        waits += [deadlines.wait(lambda: _sleeps(0), 60) for _ in range(3)]
        return list(await asyncio.gather(*waits, return_exceptions=True))

    found = asyncio.run(together())
    assert [type(one) for one in found] == [TimeoutError] * 3 + [str] * 3


def test_a_task_goes_on_after_a_wait_that_ended() -> None:
    async def goes_on() -> tuple[str, int]:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(TimeoutError):
            await Deadlines().wait(lambda: _sleeps(60), 0.01)
        return await _sleeps(0), task.cancelling()

    assert asyncio.run(goes_on()) == ("done", 0)


def test_whoever_cancels_a_task_is_not_mistaken_for_a_deadline() -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(Deadlines().wait(lambda: _sleeps(60), 30))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())

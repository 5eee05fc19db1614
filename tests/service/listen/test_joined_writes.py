"""An answer's head and body leave by one write, and nothing is lost or out of order."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.listen.joined_writes import MOST_BYTES, JoinedWrites


class Written:
    """A transport that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("close")

    def set_protocol(self, protocol: object) -> None:
        self.told.append(f"to {protocol}")

    def get_extra_info(self, name: str) -> str:
        return f"the {name}"


async def a_turn_between(joined: JoinedWrites) -> None:
    joined.write(b"head")
    joined.write(b"body")
    await asyncio.sleep(0)
    joined.write(b"next")
    await asyncio.sleep(0)


async def closed_at_once(joined: JoinedWrites) -> None:
    joined.write(b"head")
    joined.write(b"body")
    joined.close()
    await asyncio.sleep(0)


async def handed_over(joined: JoinedWrites) -> None:
    joined.write(b"switching")
    joined.set_protocol("another")  # type: ignore[arg-type]
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (a_turn_between, [b"headbody", b"next"]),
        (closed_at_once, [b"headbody", "close"]),
        (handed_over, [b"switching", "to another"]),
    ],
)
def test_writes_of_one_turn_go_out_together(
    act: Callable[[JoinedWrites], Awaitable[None]], told: list[bytes | str]
) -> None:
    transport = Written()

    async def run() -> None:
        await act(JoinedWrites(transport))

    asyncio.run(run())
    assert transport.told == told


def test_a_writer_that_never_waits_is_not_kept_in_memory() -> None:
    transport = Written()
    chunk = bytes(MOST_BYTES // 4)

    async def run() -> None:
        joined = JoinedWrites(transport)
        for _ in range(10):
            joined.write(chunk)
        assert len(transport.told) == 2, "before the loop had a turn"
        await asyncio.sleep(0)

    asyncio.run(run())
    assert b"".join(map(bytes, transport.told)) == 10 * chunk


def test_whatever_else_is_asked_goes_to_the_transport() -> None:
    async def peer() -> object:
        return JoinedWrites(Written()).get_extra_info("peername")

    assert asyncio.run(peer()) == "the peername"

"""What a resource needs of a client: send a call, or open one as a stream of bytes."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, TypeVar

from nmtune_client._http.wire import Call

T = TypeVar("T")


class AsyncSender(Protocol):
    """Sends calls, and repeats those that fail for a moment."""

    async def send(self, call: Call[T]) -> T:
        """Send the call, again if need be, and return its value."""

    async def download(self, call: Call[None], path: Path) -> None:
        """Send the call, again if need be, and write its answer's bytes to a file."""

    def open_stream(
        self, call: Call[None], *, read_seconds: float
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Send the call once and give its answer's bytes as they come."""

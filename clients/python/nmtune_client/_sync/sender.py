# Written by generate_sync.py out of _async/sender.py: edit that file, then run the script.
"""What a resource needs of a client: send a call, or open one as a stream of bytes."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

from nmtune_client._http.wire import Call

T = TypeVar("T")


class Sender(Protocol):
    """Sends calls, and repeats those that fail for a moment."""

    def send(self, call: Call[T]) -> T:
        """Send the call, again if need be, and return its value."""

    def download(self, call: Call[None], path: Path) -> None:
        """Send the call, again if need be, and write its answer's bytes to a file."""

    def open_stream(
        self, call: Call[None], *, read_seconds: float
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Send the call once and give its answer's bytes as they come."""

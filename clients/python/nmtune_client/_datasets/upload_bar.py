"""Show how far an upload in parts has come."""

import time
from collections.abc import Callable
from typing import Protocol, TextIO

from nmtune_client._show.live import live
from nmtune_client._show.plain import duration, fitted, size

_BAR_WIDTH = 24


class Observer(Protocol):
    """Receives the progress of an upload."""

    def begin(self, n_sent: int, n_bytes: int) -> None:
        """The upload begins, or goes on behind `n_sent` of `n_bytes`."""

    def update(self, n_sent: int) -> None:
        """So many bytes are at the server."""

    def complete(self) -> None:
        """All bytes are there; the server now reads them."""


class UploadBar:
    """One line that moves; in a log a line for each tenth.

    `[==========>     ]  43%  1.7 GiB of 4.0 GiB  ETA 0:12`.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._live = live(stream)
        self._n_bytes = 0
        self._n_before = 0
        self._began = time.monotonic()

    def begin(self, n_sent: int, n_bytes: int) -> None:
        self._n_bytes, self._n_before = n_bytes, n_sent
        self._began = time.monotonic()
        if n_sent:
            words = f"Resuming: the server already has {size(n_sent)} of {size(n_bytes)}."
            self._live.show(words, "begin")
            self._live.close()
        self.update(n_sent)

    def update(self, n_sent: int) -> None:
        line = upload_line(
            n_sent,
            self._n_bytes,
            n_before=self._n_before,
            elapsed_seconds=time.monotonic() - self._began,
            width=self._live.width,
        )
        self._live.show(line, 10 * n_sent // max(1, self._n_bytes))

    def complete(self) -> None:
        self._live.close()
        self._live.show("All sent; the server is checking the rows.", "complete")
        self._live.close()


class _Callback:
    """Calls a function with the bytes sent and those of the whole file."""

    def __init__(self, function: Callable[[int, int], object]) -> None:
        self._function = function
        self._n_bytes = 0

    def begin(self, n_sent: int, n_bytes: int) -> None:
        self._n_bytes = n_bytes
        self.update(n_sent)

    def update(self, n_sent: int) -> None:
        self._function(n_sent, self._n_bytes)

    def complete(self) -> None:
        """Nothing: the last update said it."""


class _Silent:
    """Shows nothing."""

    def begin(self, n_sent: int, n_bytes: int) -> None:
        """Nothing."""

    def update(self, n_sent: int) -> None:
        """Nothing."""

    def complete(self) -> None:
        """Nothing."""


def upload_observer_of(progress: bool | Callable[[int, int], object]) -> Observer:
    """What the `progress` argument of an upload asks for."""
    if callable(progress):
        return _Callback(progress)
    return UploadBar() if progress else _Silent()


def upload_line(
    n_sent: int, n_bytes: int, *, n_before: int, elapsed_seconds: float, width: int | None = None
) -> str:
    """The whole line of the bar; `n_before` bytes were sent at another time.

    What matters least is left out where `width` is too little.
    """
    fraction = n_sent / n_bytes if n_bytes else 1.0
    n_full = int(fraction * _BAR_WIDTH)
    head = ">" if n_full < _BAR_WIDTH else ""
    bar = f"[{('=' * n_full + head).ljust(_BAR_WIDTH)}]"
    parts = {"bar": bar, "share": f"{100 * fraction:3.0f}%"}
    parts["sizes"] = f"{size(n_sent)} of {size(n_bytes)}"
    n_now = n_sent - n_before
    if n_now > 0 and n_sent < n_bytes:
        parts["time"] = f"ETA {duration(elapsed_seconds * (n_bytes - n_sent) / n_now)}"
    return fitted(parts, width, least=("bar", "sizes", "time"))

"""The home of the uvicorn server that ends open event streams when it is told to stop."""

import threading
from types import FrameType

import uvicorn


class Server(uvicorn.Server):
    """uvicorn waits for open connections before it tells the application that it stops.

    An event stream would keep it waiting until its job ends, so `stopping` is set at the signal.
    """

    def __init__(self, config: uvicorn.Config, *, stopping: threading.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note the signal, for uvicorn and for the streams."""
        self._stopping.set()
        super().handle_exit(sig, frame)

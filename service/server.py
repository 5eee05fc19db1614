"""The uvicorn server with the bounds that this service needs, and an end for event streams."""

import threading
from types import FrameType

import uvicorn

from service.http_protocol import BoundedProtocol


class Server(uvicorn.Server):
    """Bounds what a connection may cost, and ends event streams when it is told to stop.

    uvicorn waits for open connections before it tells the application that it stops. An event
    stream would keep it waiting until its job ends, so `stopping` is set at the signal.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        stopping: threading.Event,
        header_seconds: float = 10.0,
    ) -> None:
        """Bounds of its connections.

        header_seconds: how long one may be silent at first, and a request's headers may take.
        """
        config.http = type("Protocol", (BoundedProtocol,), {"header_seconds": header_seconds})
        config.ws = "none"  # nothing here speaks it, and it would be a door without a guard
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note the signal, for uvicorn and for the streams."""
        self._stopping.set()
        super().handle_exit(sig, frame)

"""Run uvicorn with bounds on its connections, and with an end for event streams."""

import asyncio
import socket
import threading
import time
from types import FrameType
from typing import Final

import uvicorn

from service.listen.acceptor import Acceptor
from service.listen.protocol import BoundedProtocol, Connections
from service.listen.shares import Share
from service.listen.tls import Certificate

LAST_CALL_SECONDS: Final = 0.25
"""How long open connections may still send a request when the server has been told to stop."""


class Server(uvicorn.Server):
    """Bounds the cost of connections, and ends event streams when it is told to stop.

    uvicorn waits for open connections before it tells the application to stop. An event stream
    would keep it waiting until its job ends, so `stopping` is set at the signal.
    """

    server_state: Connections

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        stopping: threading.Event,
        header_seconds: float = 10.0,
        max_connections: int = 4096,
        certificate: Certificate | None = None,
        share: Share | None = None,
    ) -> None:
        """Set the bounds of its connections.

        header_seconds: how long a new one may be silent, and a request's headers may take.
        max_connections: how many may be open; fewer if the system's limit is lower.
        certificate: with one, its connections speak TLS alone.
        share: of the connections, if other processes accept from the same socket.
        """
        config.http = type("Protocol", (BoundedProtocol,), {"header_seconds": header_seconds})
        config.ws = "none"  # nothing here uses it, and it would bypass the guards
        super().__init__(config)
        self.server_state = Connections()
        self.server_state.share = share
        self._stopping = stopping
        self._header_seconds = header_seconds
        self._max_connections = max_connections
        self._certificate = certificate
        self._acceptors: list[Acceptor] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then accept the connections of `sockets`."""
        await super().startup(sockets=[])  # uvicorn would accept them without a bound
        if not self.started:
            return
        self._acceptors = [
            Acceptor(
                listener,
                self._make_protocol,
                self.server_state,
                max_connections=self._max_connections,
                certificate=self._certificate,
                handshake_seconds=self._header_seconds,
                share=self.server_state.share,
            )
            for listener in sockets or []
        ]
        for acceptor in self._acceptors:
            acceptor.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, and end the open ones once they have their answers.

        A request may be on its way over a connection that is idle here. So for a moment such
        requests are answered too, and each answer says that the connection ends.
        """
        self.server_state.default_headers.append((b"connection", b"close"))
        for acceptor in self._acceptors:
            acceptor.stop()
        ends_at = time.monotonic() + LAST_CALL_SECONDS
        while self._is_connected() and time.monotonic() < ends_at and not self.force_exit:
            await asyncio.sleep(0.01)
        if self._certificate is not None:  # the farewell of TLS would wait for idle clients
            self.server_state.close_idle(self.server_state.n_open, "stopping")
        await super().shutdown(sockets=sockets)

    def _is_connected(self) -> bool:
        return any(one.is_busy for one in self._acceptors) or bool(self.server_state.connections)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note the signal, for uvicorn and for the event streams."""
        self._stopping.set()
        super().handle_exit(sig, frame)

    def _make_protocol(self) -> BoundedProtocol:
        made: BoundedProtocol = self.config.http_protocol_class(  # type: ignore[assignment,call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

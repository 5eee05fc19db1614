"""Write an answer's head and body in one system call.

uvicorn hands each part to the transport separately. For a small answer the second call costs as
much as computing the answer, and wakes the reader twice.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_BYTES: Final = 1 << 16
"""How much may wait. More gains nothing, and the transport must be able to pause its writer."""


class JoinedWritesProtocol(HttpToolsProtocol):
    """HTTP by httptools, over a transport that joins the writes of one turn of the loop."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with a connection."""
        super().connection_made(JoinedWrites(transport))  # type: ignore[arg-type]


class JoinedWrites:
    """A transport whose writes wait for the end of the loop's turn, and go out together."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._n_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send the data, at the latest when the loop has run what is ready now."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._n_bytes += len(data)
        if self._n_bytes >= MOST_BYTES:  # else a writer that never waits would fill the memory
            self._flush()

    def close(self) -> None:
        """Send what waits, then close."""
        self._flush()
        self._transport.close()

    def write_eof(self) -> None:
        """Send what waits, then end the stream."""
        self._flush()
        self._transport.write_eof()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection over (to a WebSocket, say) with nothing left behind."""
        self._flush()
        self._transport.set_protocol(protocol)

    def _flush(self) -> None:
        parts, self._parts, self._n_bytes = self._parts, [], 0
        if parts:
            self._transport.write(b"".join(parts))

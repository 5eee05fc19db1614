"""Ask one service that the operator named for small documents: bounded in time and bytes.

Each request has a connection of its own; redirects are not followed, proxies not used.
"""

import ssl
from collections.abc import Iterable, Mapping
from typing import Final

import httpcore2

from outbound.errors import OutboundError
from outbound.sockets import CONNECT_SECONDS, GuardedBackend, deadline

SECONDS: Final = 10.0
"""For the whole of a request."""
MOST_BYTES: Final = 256 * 1024
"""The longest document that is read."""


class NoDocument(Exception):  # noqa: N818  as its neighbours
    """No whole answer came; the message says why."""


class Documents:
    """Asks for documents; safe among threads."""

    def __init__(self, allowed: Iterable[tuple[str, int]]) -> None:
        """allowed: hosts and ports that may be inside the network, as the operator named them."""
        self._pool = httpcore2.ConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_keepalive_connections=0,
            network_backend=GuardedBackend(allowed),
        )

    def get(self, url: str) -> tuple[int, bytes]:
        """Status and body. Raises NoDocument."""
        return self.ask("GET", url)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body of the answer to a form. Raises NoDocument."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", url, body, {**kind, **headers})

    def ask(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of the answer to any request. Raises NoDocument."""
        sent = {"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
        try:
            with (
                deadline(SECONDS),
                self._pool.stream(
                    method,
                    url,
                    headers=[*sent.items()],
                    content=body,
                    extensions={"timeout": {"connect": CONNECT_SECONDS, "pool": SECONDS}},
                ) as response,
            ):
                found = b""
                for chunk in response.iter_stream():
                    found += chunk
                    if len(found) > MOST_BYTES:
                        raise NoDocument(f"its answer is larger than {MOST_BYTES} bytes")
                return response.status, found
        except OutboundError as error:
            raise NoDocument(str(error)) from error
        except httpcore2.TimeoutException as error:
            raise NoDocument(f"it did not answer in {SECONDS:g} seconds") from error
        except httpcore2.LocalProtocolError as error:  # whose text may quote a secret
            raise NoDocument(
                "the request has a header or an address that cannot be sent"
            ) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            raise NoDocument(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

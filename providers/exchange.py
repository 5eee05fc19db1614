"""The home of one request and its answer: JSON posted, bounded in bytes and time, no redirects."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import httpcore2
import orjson

from providers import sockets
from providers.errors import ProviderUnavailable, WrongAnswer
from providers.sockets import GuardedBackend

MOST_ANSWER_BYTES: Final = 64 << 20
MOST_CONNECTIONS: Final = 32
IDLE_SECONDS: Final = 30.0
LONGEST_RETRY_AFTER_SECONDS: Final = 1e6


@dataclass(frozen=True)
class Answer:
    """What came back; `retry_after` in seconds, where the provider asked to wait."""

    status: int
    body: bytes
    retry_after: float | None = None

    def json(self) -> Any:
        """The body as JSON; NaN is none. Raises WrongAnswer."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise WrongAnswer("The provider's answer is not valid JSON.") from error


class Exchange:
    """A pool of connections through the guard; safe among threads.

    The environment's proxies are not used: behind one, the address could not be checked.
    """

    def __init__(self, backend: GuardedBackend, *, most_bytes: int = MOST_ANSWER_BYTES) -> None:
        self._most_bytes = most_bytes
        self._backend = backend
        self._pool = httpcore2.ConnectionPool(
            max_connections=MOST_CONNECTIONS,
            max_keepalive_connections=MOST_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=backend,
        )

    def post(self, url: str, body: object, *, headers: Mapping[str, str], seconds: float) -> Answer:
        """Post JSON and read the whole answer within `seconds`.

        Raises ProviderUnavailable where no whole answer comes, WrongAnswer where it is too large,
        AddressForbidden.
        """
        sent = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # a small gzip can be a large answer
            "Content-Type": "application/json",
            "User-Agent": "nmtune",
            **headers,
        }
        try:
            with (
                sockets.deadline(seconds),
                self._pool.stream(
                    "POST",
                    url,
                    headers=list(sent.items()),
                    content=orjson.dumps(body),
                    extensions={"timeout": {"pool": seconds, "connect": sockets.CONNECT_SECONDS}},
                ) as response,
            ):
                received = self._read(response)
        except httpcore2.TimeoutException as error:
            message = f"The provider did not answer within {seconds:.0f} seconds."
            raise ProviderUnavailable(message) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            raise ProviderUnavailable("The connection to the provider broke.") from error
        return received

    def _read(self, response: httpcore2.Response) -> Answer:
        headers = {name.lower(): value for name, value in response.headers}
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise WrongAnswer("The provider compressed its answer though it was asked not to.")
        body = bytearray()
        for chunk in response.iter_stream():
            body += chunk
            if len(body) > self._most_bytes:
                message = f"The provider's answer is larger than {self._most_bytes >> 20} MiB."
                raise WrongAnswer(message)
        return Answer(response.status, bytes(body), _seconds(headers.get(b"retry-after")))

    def close(self) -> None:
        """Close the connections, also those that somebody waits on."""
        self._backend.abort()
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _seconds(value: bytes | None) -> float | None:
    """Retry-After as seconds; dates and nonsense are as good as none."""
    if value is None or not value.strip().replace(b".", b"", 1).isdigit():
        return None
    return min(float(value), LONGEST_RETRY_AFTER_SECONDS)

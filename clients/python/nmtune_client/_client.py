"""Home of `Client`, the synchronous sender of calls."""

import logging
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import httpx
import numpy as np

from nmtune_client import _arrays, _calls
from nmtune_client._errors import (
    APIConnectionError,
    APITimeoutError,
    BadResponseError,
)
from nmtune_client._resources import Datasets, Heads, Jobs, ProviderKeys
from nmtune_client._retry import RetryPolicy
from nmtune_client._types import Head, HeadRef, HeadVersion, Prediction
from nmtune_client._version import __version__
from nmtune_client._wire import Answer, Call, result

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8000"
URL_VARIABLE = "NMTUNE_URL"

_CONNECT_SECONDS = 5.0
_UPLOAD_CHUNK_BYTES = 1 << 18
_MOST_ROWS_A_REQUEST = 10_000
_MOST_TEXTS_A_REQUEST = 256
_MOST_BYTES_A_REQUEST = 32 * 1024 * 1024

logger = logging.getLogger(__name__)


class Client:
    """Talks to one NMTune server; usable from several threads, and as a context manager.

    base_url: the server's address; if None, the environment's NMTUNE_URL as it is now, or else
    http://127.0.0.1:8000. timeout: seconds to wait for an answer (connecting has 5 s of its own,
    and an upload may take as long as it likes to send). retry: how failures are repeated.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        timeout: float = 60.0,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.base_url = _checked_url(base_url or os.environ.get(URL_VARIABLE) or DEFAULT_URL)
        self._timeout = timeout
        self._retry = retry if retry is not None else RetryPolicy()
        self._http = httpx.Client(
            headers={"User-Agent": f"nmtune-client/{__version__}", "Accept": "application/json"},
            # a proxy of the environment cannot reach a server on this very machine
            trust_env=not _is_loopback(self.base_url),
            verify=_trusted_certificates(self.base_url),
        )
        self.datasets = Datasets(self)
        self.jobs = Jobs(self, self.datasets)
        self.heads = Heads(self)
        self.provider_keys = ProviderKeys(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the client cannot be used any more."""
        self._http.close()

    def predict(
        self,
        head: str | Head | HeadRef | HeadVersion,
        embeddings: object = None,
        *,
        texts: object = None,
    ) -> Prediction:
        """Classify embeddings (n, d) with a head: `pets` (its latest), `pets@3` or `pets@prod`.

        texts: strings in their place, for a head that was trained on texts: its own provider
        embeds them.

        More rows than the server takes at once are sent in several requests; all of them are
        answered by the version that answered the first, even if the alias moves meanwhile.
        """
        if (embeddings is None) == (texts is None):
            raise ValueError("pass either embeddings or texts=")
        if texts is not None:
            return self._predict_texts(str(head), _arrays.text_list(texts))
        rows = _arrays.embeddings_array(embeddings)
        size = min(_MOST_ROWS_A_REQUEST, _MOST_BYTES_A_REQUEST // (4 * rows.shape[1]))
        size = max(1, size)
        first = self.send(_calls.predict(str(head), rows[:size]))
        pinned = f"{first.head_name}@{first.head_version}"
        more = [
            self.send(_calls.predict(pinned, rows[start : start + size]))
            for start in range(size, len(rows), size)
        ]
        return _joined([first, *more])

    def _predict_texts(self, head: str, texts: list[str]) -> Prediction:
        size = _MOST_TEXTS_A_REQUEST
        first = self.send(_calls.predict_texts(head, texts[:size]))
        pinned = f"{first.head_name}@{first.head_version}"
        more = [
            self.send(_calls.predict_texts(pinned, texts[start : start + size]))
            for start in range(size, len(texts), size)
        ]
        return _joined([first, *more])

    def send(self, call: Call[T]) -> T:
        """Send a call, again if the retry policy says so, and return its value."""
        tries = 0
        while True:
            tries += 1
            try:
                answer = self._exchange(call)
            except APIConnectionError as error:
                delay = self._retry.delay(tries)
                if delay is None:
                    raise
                reason = str(error)
            else:
                delay = self._retry.delay(tries, status=answer.status, headers=answer.headers)
                if delay is None:
                    return result(call, answer, tries=tries)
                reason = str(answer.status)
            logger.info(
                "request.retry method=%s path=%s tries=%d delay_seconds=%.2f reason=%s",
                call.method,
                call.path,
                tries,
                delay,
                reason,
            )
            time.sleep(delay)

    @contextmanager
    def open_stream(self, call: Call[None], *, read_seconds: float) -> Iterator[Iterator[bytes]]:
        """Send a call once, and give the bytes of its event stream as they come.

        `read_seconds` is the longest silence allowed. Errors of opening and of reading are those
        of `send`; an answer that is no event stream is a BadResponseError.
        """
        with (
            self._translated(call),
            self._http.stream(
                call.method,
                self.base_url + call.path,
                params=dict(call.params),
                headers=dict(call.headers),
                timeout=httpx.Timeout(self._timeout, connect=_CONNECT_SECONDS, read=read_seconds),
            ) as response,
        ):
            kind = response.headers.get("content-type", "")
            if response.status_code != httpx.codes.OK:
                response.read()
                result(call, _answer(response))
            if not kind.startswith("text/event-stream"):
                raise BadResponseError(f"{call.path} answered {kind!r}, not an event stream")
            yield response.iter_bytes()

    def _exchange(self, call: Call[T]) -> Answer:
        headers = dict(call.headers)
        content: bytes | Iterator[bytes] | None = call.content
        write_seconds: float | None = self._timeout
        with self._translated(call):
            if call.file is not None:
                headers["Content-Length"] = str(call.file.stat().st_size)
                content, write_seconds = _chunks(call), None
            response = self._http.request(
                call.method,
                self.base_url + call.path,
                params=dict(call.params),
                headers=headers,
                content=content,
                timeout=httpx.Timeout(
                    self._timeout,
                    connect=_CONNECT_SECONDS,
                    read=self._timeout + call.extra_read_seconds,
                    write=write_seconds,
                ),
            )
            return _answer(response)

    @contextmanager
    def _translated(self, call: Call[T]) -> Iterator[None]:
        """Turn httpx's errors into this package's own."""
        what = f"{call.method} {self.base_url}{call.path}"
        try:
            yield
        except httpx.ConnectTimeout as error:
            raise APITimeoutError(
                f"{self.base_url} did not accept a connection in {_CONNECT_SECONDS:g} s"
            ) from error
        except httpx.TimeoutException as error:
            raise APITimeoutError(f"{what}: the server took too long to answer") from error
        except httpx.ConnectError as error:
            raise APIConnectionError(
                f"cannot reach {self.base_url} ({error}); start a server with "
                f"`nmtune-server up`, or name another by {URL_VARIABLE}"
            ) from error
        except httpx.TransportError as error:
            raise APIConnectionError(f"{what}: the connection broke ({error})") from error
        except httpx.DecodingError as error:
            raise BadResponseError(f"{what}: the answer cannot be decoded ({error})") from error


def _answer(response: httpx.Response) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, response.content)


def _chunks(call: Call[T]) -> Iterator[bytes]:
    if call.file is not None:
        with call.file.open("rb") as file:
            while chunk := file.read(_UPLOAD_CHUNK_BYTES):
                yield chunk


def _joined(parts: list[Prediction]) -> Prediction:
    """The answers to several requests, all of one head version, as one."""
    if len(parts) == 1:
        return parts[0]
    return Prediction(
        labels=np.concatenate([part.labels for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        classes=parts[0].classes,
        head_name=parts[0].head_name,
        head_version=parts[0].head_version,
    )


def _checked_url(url: str) -> str:
    """The base URL without a closing slash; ValueError if it is none."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is not the address of a server, e.g. {DEFAULT_URL}")
    if parts.query or parts.fragment:
        raise ValueError(f"{url!r}: a base URL has no query and no fragment")
    return parts.geturl().rstrip("/")


def _trusted_certificates(url: str) -> ssl.SSLContext:
    """httpx's own for https; for http none: they take 20 ms to load, for nothing."""
    if url.startswith("https:"):
        return httpx.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

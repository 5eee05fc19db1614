"""Refuse requests that no route ever sees, because their heads could not be read."""

import contextvars
import logging
from collections.abc import Iterable
from http import HTTPStatus

from service.http.errors import Problem
from service.http.layers import metrics, request_id, security_headers

logger = logging.getLogger(__name__)


def unreadable() -> Problem:
    """The request is not HTTP/1.1, or contradicts itself about where the body ends."""
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "bad_request",
        "The request could not be read: its request line, its headers or the framing of its body "
        "are malformed, or contradict each other.",
    )


def unknown_coding() -> Problem:
    """The body has a transfer coding beside `chunked`, which nobody here would undo."""
    return Problem(
        HTTPStatus.NOT_IMPLEMENTED,
        "unsupported_transfer_encoding",
        "The body may be chunked, but not compressed in transfer. Send it with Transfer-Encoding: "
        "chunked or with a Content-Length; a compressed CSV or JSON file is sent as a file.",
        field="Transfer-Encoding",
    )


def target_too_long() -> Problem:
    """The request line is too long."""
    return Problem(
        HTTPStatus.REQUEST_URI_TOO_LONG,
        "uri_too_long",
        "The request line is longer than 64 KiB. Send the embedding in the body of POST /predict.",
    )


def headers_too_large() -> Problem:
    """All headers together are too large."""
    return Problem(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "headers_too_large",
        "The headers are larger than 64 KiB in all. Send large values in the body.",
    )


def headers_too_slow() -> Problem:
    """The head did not end in time."""
    return Problem(
        HTTPStatus.REQUEST_TIMEOUT,
        "headers_too_slow",
        "The headers arrived too slowly and were not read to their end. Send the request again.",
    )


def too_many_pipelined() -> Problem:
    """Too many requests wait on one connection."""
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too_many_pipelined",
        "Too many requests are waiting on this connection. Wait for answers, or open more "
        "connections.",
        headers={"Retry-After": "1"},
    )


def too_many_connections() -> Problem:
    """All connections that may be open are busy."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "too_many_connections",
        "All connections of this server are busy. Try again shortly.",
        headers={"Retry-After": "1"},
    )


def no_tls() -> Problem:
    """The port speaks TLS, and plain HTTP came."""
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "https_needed",
        "This port speaks https alone: begin the address with https://. A key that was sent in "
        "plain http may have been read on its way: rotate it.",
    )


def note(problem: Problem, own_id: str) -> None:
    """Log and count a refusal, as `service.front` does for a request."""
    logger.info(
        "request.refused status=%s code=%s request_id=%s", problem.status_code, problem.code, own_id
    )
    metrics.REQUESTS.labels(metrics.NO_ROUTE, metrics.OTHER_METHOD, problem.status_code).inc()


def as_bytes(
    problem: Problem,
    own_id: str,
    *,
    status_line: bytes,
    more_headers: Iterable[tuple[bytes, bytes]] = (),
    target: bytes = b"",
) -> bytes:
    """The whole answer, which also closes the connection. target: of the request, if known."""
    context = contextvars.copy_context()
    context.run(request_id.bind, own_id)
    path = target.partition(b"?")[0].decode("latin-1")
    response = context.run(problem.response, path)
    body, headers = bytes(response.body), dict(response.raw_headers)
    headers |= {request_id.HEADER.lower().encode(): own_id.encode(), b"connection": b"close"}
    lines = [*more_headers, *security_headers.added_to(headers.items())]
    head = b"".join(b"%b: %b\r\n" % line for line in lines)
    return b"%b%b\r\n%b" % (status_line, head, body)

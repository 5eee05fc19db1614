"""Requests byte by byte over a socket, and the refusals that come back."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.support.http import Running

HOST = b"Host: localhost\r\n"
JSON_HEAD = b"POST /jobs HTTP/1.1\r\n%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@contextmanager
def connected(running: Running) -> Iterator[socket.socket]:
    url = httpx.URL(running.url)
    with socket.create_connection((url.host, url.port or 0), timeout=60) as opened:
        yield opened


def all_of(opened: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = b""
    try:
        while part := opened.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def said(running: Running, request: bytes) -> bytes:
    with connected(running) as opened:
        opened.sendall(request)
        return all_of(opened)


def problem_in(answer: bytes, status: int, code: str) -> dict[str, Any]:
    """The one refusal that the answer is, whole."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0].startswith(f"HTTP/1.1 {status} "), answer[:500]
    assert head.count(b"HTTP/1.1") == 1
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert headers["content-type"] == "application/problem+json"
    assert headers["content-length"] == str(len(body))
    assert headers["connection"] == "close"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    problem: dict[str, Any] = json.loads(body)
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == headers["x-request-id"]
    return problem


def get(*headers: bytes, target: bytes = b"/livez") -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + lines + b"Connection: close\r\n\r\n"


def assert_starts(answer: bytes, status: int) -> None:
    assert answer.startswith(b"HTTP/1.1 %d" % status), answer[:300]

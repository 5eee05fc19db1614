"""What the proxy refuses: slow clients, bodies that are too large, requests of two minds."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.compose.stack import Stack

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]

PROBLEM = "application/problem+json"
MIB = 1 << 20


@contextmanager
def connection(stack: Stack) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", stack.port), timeout=60) as opened:
        yield opened


def answer(opened: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    found = b""
    while chunk := opened.recv(65536):
        found += chunk
    return found


def test_a_header_that_comes_drop_by_drop_is_cut_off(stack: Stack) -> None:
    began = time.monotonic()
    with connection(stack) as opened:
        opened.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")
        opened.settimeout(1)
        while time.monotonic() - began < 30:
            try:
                opened.sendall(b"X-Drop: 1\r\n")
                if opened.recv(1000) == b"":
                    break
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
    seconds = time.monotonic() - began
    stack.note(began, "a connection whose header comes drop by drop is closed (limit 10 s)")
    assert 8 < seconds < 15


def test_many_silent_connections_do_not_keep_others_out(stack: Stack) -> None:
    silent = [socket.create_connection(("127.0.0.1", stack.port)) for _ in range(300)]
    try:
        with httpx.Client(base_url=stack.url, timeout=5) as http:
            assert all(http.get("/livez").status_code == 200 for _ in range(20))
    finally:
        for opened in silent:
            opened.close()


def test_a_body_that_never_comes_is_refused_by_the_api_through_the_proxy(stack: Stack) -> None:
    began = time.monotonic()
    with connection(stack) as opened:
        opened.sendall(
            b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer " + stack.key.encode() + b"\r\n"
            b"Content-Length: 1000\r\nConnection: close\r\n\r\n{"
        )
        found = answer(opened)
    assert b" 408 " in found.partition(b"\r\n")[0]
    assert b"body_too_slow" in found
    assert time.monotonic() - began < 15  # the test's NMTUNE_BODY_SECONDS is 3


def test_two_lengths_in_one_request_are_refused(stack: Stack) -> None:
    with connection(stack) as opened:
        opened.sendall(
            b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /heads HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        found = answer(opened)
    assert b" 400 " in found.partition(b"\r\n")[0]
    assert found.count(b"HTTP/1.1 ") == 1, "the second request must not be heard"
    assert PROBLEM.encode() in found


@pytest.mark.parametrize(
    ("path", "n_bytes"), [("/jobs", 65 * MIB), ("/predict", 65 * MIB), ("/datasets", 4097 * MIB)]
)
def test_a_body_that_is_announced_too_large_is_refused_at_once(
    stack: Stack, path: str, n_bytes: int
) -> None:
    with connection(stack) as opened:
        opened.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
            f"Content-Length: {n_bytes}\r\nConnection: close\r\n\r\n".encode()
        )
        found = answer(opened)
    assert b" 413 " in found.partition(b"\r\n")[0]
    assert b'"code":"body_too_large"' in found


def test_metrics_and_unknown_paths_are_not_there(stack: Stack) -> None:
    with httpx.Client(base_url=stack.url, headers=stack.headers) as http:
        for path in ("/metrics", "/-/unavailable", "/nowhere"):
            found = http.get(path)
            assert (found.status_code, found.headers["content-type"]) == (404, PROBLEM)
            assert found.json()["code"] == "not_found"


def test_an_embedding_of_4096_columns_fits_into_a_request_line(stack: Stack) -> None:
    with httpx.Client(base_url=stack.url, headers=stack.headers) as http:
        numbers = ",".join(["-0.123456789"] * 4096)
        assert http.get(f"/predict?head=none&embedding={numbers}").status_code == 404


def test_a_request_line_that_is_too_long_is_refused_in_the_apis_form(stack: Stack) -> None:
    with connection(stack) as opened:
        target = b"/predict?embedding=" + b"1" * 70_000
        opened.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        found = answer(opened)
    assert b" 414 " in found.partition(b"\r\n")[0]
    assert b'"code":"uri_too_long"' in found


def test_the_proxy_hands_on_the_host_that_was_asked(stack: Stack) -> None:
    with httpx.Client(base_url=stack.url, headers=stack.headers) as http:
        assert http.get("/heads", headers={"host": "evil.example"}).status_code == 421
        assert http.get("/heads", headers={"host": "10.1.2.3"}).status_code == 200
        refused = http.post("/jobs", headers={"origin": "http://evil.example"})
        assert (refused.status_code, refused.json()["code"]) == (403, "cross_site")
        own = http.post("/jobs/job_none/cancel", headers={"origin": stack.url})
        assert own.status_code == 404


def test_the_proxys_own_refusals_tell_browsers_the_same_as_the_apis(stack: Stack) -> None:
    with httpx.Client(base_url=stack.url, headers=stack.headers) as http:
        ours, apis = http.get("/metrics"), http.get("/nowhere")
    for name in (
        "x-content-type-options",
        "x-frame-options",
        "referrer-policy",
        "cross-origin-resource-policy",
        "content-security-policy",
    ):
        assert ours.headers.get_list(name) == apis.headers.get_list(name), name


def test_headers_that_are_too_large_are_refused_in_the_apis_form(stack: Stack) -> None:
    for n_bytes in (70_000, 100_000, 1_000_000):
        with connection(stack) as opened:
            header = b"X: " + b"a" * n_bytes
            opened.sendall(b"GET /heads HTTP/1.1\r\nHost: localhost\r\n" + header + b"\r\n\r\n")
            found = answer(opened)
        assert b" 431 " in found.partition(b"\r\n")[0]
        assert b'"code":"headers_too_large"' in found


def test_without_a_key_the_api_answers_nothing(stack: Stack) -> None:
    with httpx.Client(base_url=stack.url) as http:
        for path in ("/heads", "/predict?head=none&embedding=1", "/docs"):
            assert http.get(path).status_code == 401
        assert http.get("/livez").status_code == 200

"""Clients that send nothing, or too slowly, over real connections."""

import time
from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from store.store import Store
from tests.service.in_process import add_job
from tests.service.listen.raw_http import (
    HOST,
    JSON_HEAD,
    all_of,
    assert_starts,
    connected,
    problem_in,
)
from tests.support.http import Running, serve

HEADER_SECONDS = 1.0


@pytest.fixture
def hasty(app: FastAPI) -> Iterator[Running]:
    """A server that does not wait long for a head."""
    with serve(app, header_seconds=HEADER_SECONDS) as found:
        yield found


def test_a_connection_that_says_nothing_is_closed_without_a_word(hasty: Running) -> None:
    with connected(hasty) as opened:
        began = time.monotonic()
        assert all_of(opened) == b""
        assert HEADER_SECONDS * 0.8 < time.monotonic() - began < 30


@pytest.mark.parametrize("first", [b"", b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"])
def test_a_head_that_only_drips_is_refused_in_time(hasty: Running, first: bytes) -> None:
    """On a new connection, and on one that is kept alive."""
    with connected(hasty) as opened:
        if first:
            opened.sendall(first)
            assert_starts(opened.recv(1 << 16), 200)
        began = time.monotonic()
        opened.settimeout(0.05)
        opened.sendall(b"GET /livez HTTP/1.1\r\nX: ")
        answer = b""
        while not answer and time.monotonic() - began < 60:
            opened.sendall(b"a")
            try:
                answer = opened.recv(1 << 16)
            except TimeoutError:
                continue
        assert time.monotonic() - began < 30
        opened.settimeout(60)
        problem_in(answer + all_of(opened), 408, "headers_too_slow")


def test_empty_lines_keep_no_connection_open(hasty: Running) -> None:
    with connected(hasty) as opened:
        opened.settimeout(0.05)
        began = time.monotonic()
        while time.monotonic() - began < 60:
            try:
                opened.sendall(b"\r\n")
                if opened.recv(100) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - began < 30


def test_a_body_that_nobody_reads_keeps_no_connection_open(hasty: Running) -> None:
    with connected(hasty) as opened:
        opened.sendall(b"POST /nothing HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\nx")
        assert_starts(opened.recv(1 << 16), 404)
        opened.settimeout(0.05)
        began = time.monotonic()
        while time.monotonic() - began < 60:
            try:
                opened.sendall(b"x")
                if opened.recv(100) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - began < 30


def test_a_slow_but_living_body_is_read(hasty: Running) -> None:
    body = b'{"wrong": 1}'
    with connected(hasty) as opened:
        opened.sendall(JSON_HEAD % (HOST, len(body)))
        for i in range(len(body)):
            time.sleep(HEADER_SECONDS / 5)
            opened.sendall(body[i : i + 1])
        assert_starts(opened.recv(1 << 16), 422)


def test_an_event_stream_and_a_rest_between_requests_outlive_the_limit(
    hasty: Running, store: Store
) -> None:
    job_id = add_job(store)
    with connected(hasty) as opened:
        opened.sendall(b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n")
        assert_starts(opened.recv(1 << 16), 200)
        time.sleep(3 * HEADER_SECONDS)
        opened.sendall(
            f"GET /jobs/{job_id}/events HTTP/1.1\r\n".encode()
            + HOST
            + b"Accept: text/event-stream\r\n\r\n"
        )
        began, found = time.monotonic(), b""
        while time.monotonic() - began < 3 * HEADER_SECONDS:
            part = opened.recv(1 << 16)
            assert part
            found += part
        assert_starts(found, 200)


def test_a_slow_second_head_does_not_take_the_first_ones_answer(
    hasty: Running, store: Store
) -> None:
    job_id = add_job(store)
    with connected(hasty) as opened:
        opened.sendall(
            f"GET /jobs/{job_id}/events HTTP/1.1\r\n".encode()
            + HOST
            + b"Accept: text/event-stream\r\n\r\nGET /livez HTT"
        )
        began, found = time.monotonic(), b""
        while time.monotonic() - began < 3 * HEADER_SECONDS:
            part = opened.recv(1 << 16)
            assert part
            found += part
        assert_starts(found, 200)
        assert b" 408 " not in found

"""Requests that no route sees, over real connections: heads too large or unreadable."""

import json
from collections.abc import Iterator

import psutil
import pytest
from fastapi import FastAPI, Request

from tests.service.in_process import InProcess
from tests.service.listen.raw_http import (
    HOST,
    all_of,
    assert_starts,
    connected,
    get,
    problem_in,
    said,
)
from tests.support.http import Running, serve
from tests.support.waiting import wait_until

KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture
def running(app: FastAPI) -> Iterator[Running]:
    with serve(app, header_seconds=60) as found:  # however long the machine pauses
        yield found


def test_headers_of_64_kib_in_all_are_taken_and_one_byte_more_is_not(running: Running) -> None:
    rest = len(get(b"X: ")) - len(b"GET /livez HTTP/1.1\r\n\r\n")
    fits = said(running, get(b"X: " + b"a" * (64 * KIB - rest)))
    assert fits.startswith(b"HTTP/1.1 200")
    # The request line counts for itself, but for its few words beside the target.
    problem_in(said(running, get(b"X: " + b"a" * 64 * KIB)), 431, "headers_too_large")


@pytest.mark.parametrize(
    "headers",
    [
        [b"X-Large: " + b"a" * (2 * MIB)],
        [b"a" * (2 * MIB) + b": x"],
        [b"X-%d: %s" % (i, b"b" * 100) for i in range(2000)],
        [b"a: b"] * 20_000,
        [b"X: " + b" " * (2 * MIB) + b"x"],
        [b"Cookie: " + b"c=d; " * 100_000],
    ],
    ids=["value", "name", "many", "small", "spaces", "cookie"],
)
def test_larger_headers_are_refused(running: Running, headers: list[bytes]) -> None:
    problem_in(said(running, get(*headers)), 431, "headers_too_large")


def test_headers_are_refused_wherever_the_pieces_are_cut(running: Running) -> None:
    with connected(running) as opened:
        opened.sendall(b"POST /jobs HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{")
        wait_until(lambda: bool(running.server.server_state.tasks))
        # The end of a body, then a head: what came before it is not the head's.
        opened.sendall(b"}" + get(b"X: " + b"a" * 63 * KIB))
        answer = all_of(opened)
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 200" in answer


def test_a_header_of_64_mb_is_not_stored(running: Running) -> None:
    process = psutil.Process()
    before, cpu = process.memory_info().rss, process.cpu_times().user
    with connected(running) as opened:
        opened.sendall(b"GET / HTTP/1.1\r\nX: ")
        piece = b"a" * MIB
        try:
            for _ in range(64):
                opened.sendall(piece)
        except OSError:
            pass
        problem_in(all_of(opened), 431, "headers_too_large")
    assert process.memory_info().rss - before < 16 * MIB
    assert process.cpu_times().user - cpu < 2


def test_a_target_of_64_kib_is_taken_and_a_longer_one_is_not(running: Running) -> None:
    longest = b"/livez?" + b"a" * (65_535 - len("/livez?"))
    assert said(running, get(target=longest)).startswith(b"HTTP/1.1 200")
    for target in (longest + b"a", b"/" + b"a" * (3 * MIB)):
        problem_in(said(running, get(target=target)), 414, "uri_too_long")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /livez HTTP\r\n\r\n",
        b"GET / HTTP/3.7\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"POST /jobs HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
        b"POST /jobs HTTP/1.1\r\n" + HOST + b"Content-Length: 1x\r\n\r\n",
        b"POST /jobs HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999999\r\n\r\n",
        b"POST /jobs HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /jobs HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"No colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X\x00Y: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n",
        b"GET http:///x HTTP/1.1\r\n" + HOST + b"\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
)
def test_what_cannot_be_read_gets_the_one_body(running: Running, request_bytes: bytes) -> None:
    problem_in(said(running, request_bytes), 400, "bad_request")


def test_a_refusal_is_logged_and_counted_and_keeps_the_id_that_came(
    running: Running, client: InProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    head = b"GET / HTTP/1.1\r\n" + HOST + b"X-Request-Id: mine-1\r\nX: "
    problem = problem_in(said(running, head + b"a" * MIB), 431, "headers_too_large")
    assert problem["request_id"] == "mine-1"
    assert "request.refused status=431 code=headers_too_large request_id=mine-1" in caplog.text
    counted = 'nmtune_http_requests_total{method="other",route="none",status="431"}'
    assert counted in client.get("/metrics").text


def test_clients_of_the_inference_protocol_get_their_form(running: Running) -> None:
    answer = said(running, get(b"X: " + b"a" * MIB, target=b"/v2/models/pets?x"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert b"content-type: application/json" in head
    assert json.loads(body) == {
        "error": "The headers are larger than 64 KiB in all. Send large values in the body."
    }


def test_what_came_before_is_answered_first(running: Running) -> None:
    first = b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"
    answer = said(running, first * 3 + b"GARBAGE\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 3
    assert answer.count(b"HTTP/1.1 ") == 4
    assert answer.rpartition(b"HTTP/1.1 ")[2].startswith(b"400 ")


def test_garbage_behind_a_body_does_not_take_its_answer(running: Running) -> None:
    body = b'{"wrong": 1}'
    request = (
        b"POST /jobs HTTP/1.1\r\n%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    answer = said(running, request % (HOST, len(body)) + body + b"}}}")
    assert answer.startswith(b"HTTP/1.1 422")
    assert answer.rpartition(b"HTTP/1.1 ")[2].startswith(b"400 ")


@pytest.mark.parametrize(
    "coding", [b"gzip, chunked", b"gzip", b"chunked\r\nTransfer-Encoding: gzip"]
)
def test_a_body_that_is_compressed_in_transfer_is_refused(running: Running, coding: bytes) -> None:
    head = (
        b"POST /jobs HTTP/1.1\r\n%bContent-Type: application/json\r\nTransfer-Encoding: %b\r\n\r\n"
    )
    answer = said(running, head % (HOST, coding) + b"2\r\n{}\r\n0\r\n\r\n")
    if coding.endswith(b"gzip"):  # without an end by chunks, the parser refuses it itself
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501"))
    else:
        problem_in(answer, 501, "unsupported_transfer_encoding")


CHUNKED = (
    b"POST /jobs HTTP/1.1\r\n"
    + HOST
    + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)


@pytest.mark.parametrize(
    "rest",
    [
        b"2\r\n{}\r\nnot a number\r\n",
        b"2;" + b"x" * MIB + b"\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}\r\n0\r\nX: " + b"x" * MIB + b"\r\n\r\n",
        b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
    ],
    ids=["broken", "extension", "trailer", "trailers"],
)
def test_a_frame_that_is_broken_or_endless_ends_its_request(
    running: Running, rest: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    problem_in(said(running, CHUNKED + rest), 400, "bad_request")
    wait_until(lambda: not running.server.server_state.tasks)
    assert "Traceback" not in caplog.text


def test_trailers_are_no_headers(app: FastAPI) -> None:
    seen: list[str | None] = []

    @app.post("/echo")
    async def echo(request: Request) -> None:
        await request.body()
        seen.append(request.headers.get("x-late"))

    with serve(app) as running:
        request = CHUNKED.replace(b"/jobs", b"/echo") + b"2\r\n{}\r\n0\r\nX-Late: 1\r\n\r\n"
        with connected(running) as opened:
            opened.sendall(request)
            assert opened.recv(1000)
    assert seen in ([], [None])


def test_no_more_than_some_requests_wait_on_a_connection(running: Running) -> None:
    one = b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"
    answer = said(running, one * 1000)
    assert answer.rpartition(b"HTTP/1.1 ")[2].startswith(b"429 ")
    assert b"too_many_pipelined" in answer
    assert 16 <= answer.count(b"HTTP/1.1 200") <= 32


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        (b"http://evil.example/heads", b"evil.example", 421),
        (b"http://evil.example/heads", b"localhost", 400),
        (b"HTTP://evil.example/heads", b"localhost", 400),
        (b"http://localhost/heads", b"evil.example", 400),
        (b"http://localhost@evil.example/heads", b"localhost", 400),
        (b"http://localhost/heads", b"localhost", 200),
        (b"//evil.example/heads", b"localhost", 404),
        (b"/heads", b"evil.example", 421),
    ],
)
def test_a_whole_url_in_the_first_line_names_the_host_too(
    running: Running, target: bytes, host: bytes, status: int
) -> None:
    request = b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
    assert said(running, request).startswith(b"HTTP/1.1 %d" % status)


def test_a_request_without_a_host_is_refused_but_a_probe(running: Running) -> None:
    for version in (b"1.0", b"1.1"):
        end = b" HTTP/" + version + b"\r\nConnection: close\r\n\r\n"
        assert_starts(said(running, b"GET /heads" + end), 400)
        assert_starts(said(running, b"GET /livez" + end), 200)


def test_a_request_for_another_protocol_is_answered_as_http(running: Running) -> None:
    for upgrade in (b"websocket", b"h2c"):
        answer = said(
            running,
            b"GET /livez HTTP/1.1\r\n"
            + HOST
            + b"Connection: upgrade\r\nUpgrade: "
            + upgrade
            # A client may send its first frames at once.
            + b"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\nframes",
        )
        assert_starts(answer, 200)
        assert answer.count(b"HTTP/1.1 ") == 1

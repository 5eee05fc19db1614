"""The server takes so many connections; beyond that, idle ones give way."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY

from service.listen.acceptor import most_connections
from store.store import Store
from tests.service.in_process import add_job
from tests.support.http import Running, serve
from tests.support.waiting import wait_until

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def running(app: FastAPI) -> Iterator[Running]:
    with serve(app, max_connections=8) as found:
        yield found


@pytest.fixture
def open_files() -> Iterator[ExitStack]:
    """Closes what a test opened."""
    with ExitStack() as stack:
        yield stack


def _connect(running: Running, open_files: ExitStack) -> socket.socket:
    url = httpx.URL(running.url)
    return open_files.enter_context(socket.create_connection((url.host, url.port or 0), timeout=60))


def _is_open(connection: socket.socket, *, seconds: float = 0.05) -> bool:
    """Whether the server has not closed it; `seconds`: how long it may take to do so."""
    connection.settimeout(seconds)
    try:
        return connection.recv(1) != b""
    except TimeoutError:
        return True
    finally:
        connection.settimeout(60)


def _status(connection: socket.socket) -> bytes:
    connection.sendall(GET)
    return connection.recv(65536)[:12]


def _counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_idle_connections_give_way_to_new_ones_the_oldest_first(
    running: Running, open_files: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    before = _counted("nmtune_connections_closed_total", reason="idle")
    idle = [_connect(running, open_files) for _ in range(80)]
    for _ in range(10):
        assert _status(_connect(running, open_files)) == b"HTTP/1.1 200"
        assert running.server.server_state.n_open <= 8
    assert not any(_is_open(one, seconds=30) for one in idle)
    assert _counted("nmtune_connections_closed_total", reason="idle") - before >= 80
    assert caplog.text.count("connections.crowded") == 1  # one line, however many


def test_a_connection_that_was_used_lately_outlives_one_that_was_not(
    running: Running, open_files: ExitStack
) -> None:
    opened = [_connect(running, open_files) for _ in range(8)]
    wait_until(lambda: running.server.server_state.n_open == 8)
    assert _status(opened[0]) == b"HTTP/1.1 200"
    assert _status(_connect(running, open_files)) == b"HTTP/1.1 200"
    assert _is_open(opened[0])
    assert not _is_open(opened[1], seconds=30)
    assert all(_is_open(one) for one in opened[2:])


def test_where_all_are_at_work_a_new_one_is_told_so(
    running: Running, open_files: ExitStack, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = add_job(store)
    streams = [_connect(running, open_files) for _ in range(8)]
    for stream in streams:
        stream.sendall(
            f"GET /jobs/{job_id}/events HTTP/1.1\r\nHost: localhost\r\n"
            "Accept: text/event-stream\r\n\r\n".encode()
        )
        assert stream.recv(12) == b"HTTP/1.1 200"
    late = _connect(running, open_files)
    late.sendall(GET)
    answer = b""
    while part := late.recv(65536):
        answer += part
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"too_many_connections"' in answer
    assert b"retry-after: 1\r\n" in answer.lower()
    assert b"x-content-type-options: nosniff" in answer
    assert "connections.full open=8" in caplog.text
    assert all(_is_open(stream) for stream in streams)
    streams.pop().close()
    wait_until(lambda: running.server.server_state.n_open == 7)
    assert _status(_connect(running, open_files)) == b"HTTP/1.1 200"


def test_the_gauge_counts_open_connections(running: Running, open_files: ExitStack) -> None:
    before = _counted("nmtune_connections")
    opened = [_connect(running, open_files) for _ in range(5)]
    wait_until(lambda: _counted("nmtune_connections") == before + 5)
    for one in opened:
        one.close()
    wait_until(lambda: _counted("nmtune_connections") == before)


@pytest.mark.parametrize(
    ("n_files", "most"),
    [(16, 8), (64, 16), (256, 192), (1024, 768), (65536, 4096), (resource.RLIM_INFINITY, 4096)],
)
def test_descriptors_are_left_for_work(
    n_files: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (n_files, n_files))
    assert most_connections(4096) == most
    assert most_connections(10) == min(10, most)

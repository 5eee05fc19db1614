"""A server process with few file descriptors, and one with none left."""

import os
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from tests.standalone.conftest import ROOT
from tests.standalone.servers import Server
from tests.support.waiting import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """`nmtune-server up` under `ulimit -n 64`, with a long wait for silent connections."""
    environment = {name: v for name, v in os.environ.items() if not name.startswith("NMTUNE_")}
    command = [sys.executable, "-m", "standalone", "up", "--port", "0", "--data-dir", str(tmp_path)]
    found = Server(
        subprocess.Popen(
            ["bash", "-c", 'ulimit -n 64; exec "$@"', "bash", *command],
            cwd=ROOT,
            env=environment | {"NMTUNE_HEADER_SECONDS": "300"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )
    yield found
    found.end()


def _address(server: Server) -> tuple[str, int]:
    found = re.search(r"http://([\d.]+):(\d+)", server.ready_line())
    assert found is not None
    return found[1], int(found[2])


def test_idle_connections_keep_no_request_out(server: Server) -> None:
    address = _address(server)
    url = f"http://{address[0]}:{address[1]}"
    with ExitStack() as opened:
        for _ in range(80):
            opened.enter_context(socket.create_connection(address, timeout=60))
        for path in ("/livez", "/readyz", "/heads", "/jobs", "/metrics") * 2:
            assert httpx.get(url + path, timeout=60).status_code == 200, path
        assert "connections.crowded" in server.errors


def test_a_server_without_a_descriptor_left_says_so_and_lets_clients_wait(server: Server) -> None:
    address = _address(server)
    url = f"http://{address[0]}:{address[1]}"
    process = psutil.Process(server.process.pid)
    with httpx.Client(base_url=url, timeout=60) as kept:
        assert kept.get("/livez").status_code == 200
        _, hard = process.rlimit(resource.RLIMIT_NOFILE)
        process.rlimit(resource.RLIMIT_NOFILE, (3, hard))  # as if something had taken all others
        with socket.create_connection(address, timeout=60) as waiting:
            waiting.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wait_until(lambda: "connections.no_descriptor error=EMFILE" in server.errors)
            process.rlimit(resource.RLIMIT_NOFILE, (hard, hard))
            assert waiting.recv(65536).startswith(b"HTTP/1.1 200")  # late, but not cut off
    text = httpx.get(f"{url}/metrics", timeout=60).text
    count = re.search(r"^nmtune_accept_errors_total (\S+)$", text, re.MULTILINE)
    assert count is not None
    assert float(count[1]) >= 1
    assert server.errors.count("connections.no_descriptor") == 1

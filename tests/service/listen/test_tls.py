"""TLS at the server's own port: the same protocol, bounds and refusals as over plain HTTP."""

import logging
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY

from service.listen import tls
from service.listen.tls import Certificate, CertificateError
from store.store import Store
from tests.service.in_process import add_job
from tests.service.listen.raw_http import HOST, all_of, assert_starts, connected, get, problem_in
from tests.support.certificates import Files, certificate
from tests.support.http import Running, serve
from tests.support.waiting import wait_until

HASTE = 1.0


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return certificate(tmp_path)


@pytest.fixture
def running(app: FastAPI, files: Files) -> Iterator[Running]:
    made = Certificate(files.cert, files.key)
    with serve(app, certificate=made, max_connections=8) as found:
        yield found


@pytest.fixture
def opened(running: Running, files: Files) -> Iterator["Opening"]:
    with ExitStack() as stack:
        yield Opening(running, files, stack)


class Opening:
    """Opens connections, closed with the test."""

    def __init__(self, running: Running, files: Files, stack: ExitStack) -> None:
        self._running, self._stack = running, stack
        self.trusting = ssl.create_default_context(cafile=files.cert)

    def plain(self) -> socket.socket:
        return self._stack.enter_context(connected(self._running))

    def by_tls(self, plain: socket.socket | None = None) -> ssl.SSLSocket:
        plain = plain or self.plain()
        return self._stack.enter_context(
            self.trusting.wrap_socket(plain, server_hostname="localhost")
        )


def _closed(reason: str) -> float:
    return REGISTRY.get_sample_value("nmtune_connections_closed_total", {"reason": reason}) or 0.0


def test_requests_come_by_https(running: Running, files: Files) -> None:
    trusting = ssl.create_default_context(cafile=files.cert)
    with httpx.Client(base_url=running.url, verify=trusting) as http:
        for _ in range(3):  # one connection, kept alive
            found = http.get("/livez")
            assert (found.status_code, found.http_version) == (200, "HTTP/1.1")
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{running.url}/livez")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_that_are_good(opened: Opening, version: ssl.TLSVersion) -> None:
    opened.trusting.minimum_version = opened.trusting.maximum_version = version
    connection = opened.by_tls()
    connection.sendall(get())
    assert_starts(connection.recv(65536), 200)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
def test_an_old_version_is_refused(opened: Opening) -> None:
    opened.trusting.set_ciphers("ALL:@SECLEVEL=0")
    opened.trusting.minimum_version = ssl.TLSVersion.TLSv1
    opened.trusting.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        opened.by_tls()


def test_plain_http_is_told_to_come_by_https(opened: Opening) -> None:
    before = _closed("tls")
    connection = opened.plain()
    connection.sendall(get())
    problem = problem_in(all_of(connection), 400, "https_needed")
    assert "https://" in problem["detail"]
    other = opened.plain()
    other.sendall(b"\x80\x01\x02 no TLS either")
    problem_in(all_of(other), 400, "https_needed")
    assert _closed("tls") == before + 2


def test_browsers_are_told_to_come_by_https_alone_but_not_to_this_machine(
    running: Running, files: Files, opened: Opening
) -> None:
    for host, expected in (("localhost", False), ("127.0.0.1", False), ("10.1.2.3", True)):
        connection = opened.by_tls()
        connection.sendall(
            f"GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = all_of(connection)
        told = b"strict-transport-security: max-age=31536000\r\n" in answer
        assert told is expected, answer


def test_a_head_that_is_too_large_is_refused_with_its_reason(opened: Opening) -> None:
    connection = opened.by_tls()
    connection.sendall(b"GET /livez HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 70_000)
    problem_in(all_of(connection), 431, "headers_too_large")


def test_silence_a_slow_handshake_and_a_slow_head_end_in_time(app: FastAPI, files: Files) -> None:
    with (
        serve(app, certificate=Certificate(files.cert, files.key), header_seconds=HASTE) as running,
        ExitStack() as stack,
    ):
        opened = Opening(running, files, stack)
        before = _closed("tls")
        silent, half = opened.plain(), opened.plain()
        half.sendall(b"\x16\x03\x01")
        assert (all_of(silent), all_of(half)) == (b"", b"")
        wait_until(lambda: _closed("tls") == before + 2)
        quiet, slow = opened.by_tls(), opened.by_tls()
        slow.sendall(b"GET /livez HTTP/1.1\r\n")
        problem_in(all_of(slow), 408, "headers_too_slow")
        assert all_of(quiet) == b""


def test_unfinished_handshakes_give_way(opened: Opening) -> None:
    """Were they counted as busy, eight of them would shut everybody out."""
    before = _closed("tls")
    crowd = [opened.plain() for _ in range(20)]
    for one in crowd:
        one.sendall(b"\x16")
    for _ in range(3):
        connection = opened.by_tls()
        connection.sendall(get())
        assert_starts(connection.recv(65536), 200)
    assert _closed("tls") - before >= 12
    assert all_of(crowd[0]) == b""


def test_idle_connections_give_way_though_they_never_say_farewell(
    running: Running, opened: Opening
) -> None:
    idle = []
    for _ in range(8):
        idle.append(opened.by_tls())
        idle[-1].sendall(b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n")
        assert_starts(idle[-1].recv(65536), 200)
    last = opened.by_tls()
    last.sendall(get())
    assert_starts(last.recv(65536), 200)
    assert idle[0].recv(1) == b""


def test_where_all_are_busy_a_new_one_is_closed(
    running: Running, opened: Opening, store: Store
) -> None:
    job_id = add_job(store)
    for _ in range(8):
        stream = opened.by_tls()
        stream.sendall(
            f"GET /jobs/{job_id}/events HTTP/1.1\r\nHost: localhost\r\n"
            "Accept: text/event-stream\r\n\r\n".encode()
        )
        assert_starts(stream.recv(65536), 200)
    before = _closed("full")
    late = opened.plain()
    assert all_of(late) == b""
    assert _closed("full") == before + 1


def test_a_client_that_rests_does_not_hold_the_end_up(app: FastAPI, files: Files) -> None:
    """It would be waited for, as long as requests in flight may take, to say farewell."""
    made = Certificate(files.cert, files.key)
    with serve(app, certificate=made) as running, ExitStack() as stack:
        resting = Opening(running, files, stack).by_tls()
        resting.sendall(b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n")
        assert_starts(resting.recv(65536), 200)
        running.stop()
        running.thread.join(tls.FAREWELL_SECONDS / 2)
        assert not running.thread.is_alive()


def test_a_renewed_certificate_is_taken(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [time.monotonic()]
    monkeypatch.setattr("service.listen.tls.time.monotonic", lambda: clock[0])
    made = Certificate(files.cert, files.key)
    first = made.context()
    renewed = certificate(tmp_path, name="renewed")
    renewed.cert.replace(files.cert)
    assert made.context() is first  # it is not looked at with each connection
    clock[0] += tls.LOOK_SECONDS
    assert made.context() is first  # the key is still the old one's
    assert "tls.not_renewed" in caplog.text
    assert "does not belong" in caplog.text
    renewed.key.replace(files.key)
    clock[0] += tls.LOOK_SECONDS
    assert made.context() is not first


def test_what_cannot_be_used_is_named(files: Files, tmp_path: Path) -> None:
    missing, broken = tmp_path / "missing.pem", tmp_path / "broken.pem"
    broken.write_text("no PEM")
    cut = tmp_path / "cut.pem"
    cut.write_bytes(files.cert.read_bytes()[:200])
    other = certificate(tmp_path, name="other")
    encrypted = certificate(tmp_path, name="encrypted", password=b"geheim")
    for cert, key, says in (
        (missing, files.key, f"The certificate {missing} cannot be read: No such file"),
        (files.cert, missing, f"The key {missing} cannot be read: No such file"),
        (tmp_path, files.key, f"The certificate {tmp_path} cannot be read: Is a directory"),
        (broken, files.key, f"{broken} is no certificate in PEM form"),
        (files.cert, broken, f"{broken} is no key in PEM form"),
        (files.key, files.cert, f"{files.key} is no certificate in PEM form"),
        (cut, files.key, f"The certificate {cut} and the key {files.key} cannot be used"),
        (files.cert, other.key, f"The key {other.key} does not belong to the certificate"),
        (encrypted.cert, encrypted.key, f"The key {encrypted.key} is encrypted"),
    ):
        with pytest.raises(CertificateError) as caught:
            Certificate(cert, key)
        assert says in str(caught.value)


def test_a_key_that_everybody_can_read_is_warned_of(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        Certificate(files.cert, files.key)
        assert not caplog.records
        files.key.chmod(0o644)
        Certificate(files.cert, files.key)
    assert "chmod 600" in caplog.text

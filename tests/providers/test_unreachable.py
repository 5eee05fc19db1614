"""Providers that cannot be reached: which troubles may pass, and which need the user."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from outbound.sockets import GuardedBackend
from providers import catalogue, errors
from providers.http.exchange import Exchange
from providers.pool import Providers
from tests.servers.fault_server import Server


def unreachable(url: str, *, resolve: Any = None) -> errors.ProviderError:
    host, _, port = url.partition("://")[2].partition("/")[0].partition(":")
    allowed = [(host, int(port or 443))]
    options = {} if resolve is None else {"resolve": resolve}
    with (
        Exchange(GuardedBackend(allowed, **options)) as exchange,
        pytest.raises(errors.ProviderError) as caught,
    ):
        exchange.post(f"{url}/embeddings", {}, headers={}, seconds=20)
    return caught.value


def test_a_name_that_does_not_exist_cannot_pass_and_one_that_cannot_be_looked_up_may() -> None:
    def fails(code: int) -> Callable[[str, int], list[str]]:
        def resolve(host: str, port: int) -> list[str]:
            raise socket.gaierror(code, "as the resolver says")

        return resolve

    for code in (socket.EAI_NONAME, socket.EAI_NODATA):
        error = unreachable("https://typo.example", resolve=fails(code))
        assert isinstance(error, errors.NothingThere)
        assert error.field == "base_url"
        assert "typo.example" in str(error)
    for code in (socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM, socket.EAI_MEMORY):
        passing = unreachable("https://typo.example", resolve=fails(code))
        assert isinstance(passing, errors.ProviderUnavailable)
        assert "as the resolver says" in str(passing)
    assert isinstance(unreachable("https://no-such-host.invalid"), errors.NothingThere)


def test_a_name_of_the_catalogue_exists_whatever_this_machine_can_look_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("outbound.sockets.socket.getaddrinfo", lambda *_, **__: resolve("", 0))
    with Providers() as providers:
        own = providers.open(catalogue.resolve("openai", model="m"), lambda origin: "k")
        with pytest.raises(errors.ProviderUnavailable):
            own.embed(["a"], seconds=20)
        typo = catalogue.resolve("openai", model="m", base_url="https://api.openai.example/v1")
        with pytest.raises(errors.NothingThere):
            providers.open(typo, lambda origin: "k").embed(["a"], seconds=20)
        # a server that answered a moment ago is being restarted
        known = providers.open(typo, lambda origin: "k", has_answered=True)
        with pytest.raises(errors.ProviderUnavailable):
            known.embed(["a"], seconds=20)


def test_a_port_where_nobody_listens_may_get_a_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = unreachable(f"http://127.0.0.1:{port}")
    assert isinstance(error, errors.ProviderUnavailable)
    assert "connection refused" in str(error)


@contextlib.contextmanager
def speaking(answer: bytes) -> Iterator[int]:
    """A port that answers whatever it is sent with some bytes."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopping = threading.Event()
    listener.settimeout(0.05)

    def serve() -> None:
        while not stopping.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    while connection.recv(65536):
                        pass
                connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stopping.set()
        thread.join()
        listener.close()


@pytest.mark.parametrize("answer", [b"-ERR unknown command 'POST'\r\n", b"SSH-2.0-x\r\n"])
def test_what_speaks_no_http_cannot_pass(answer: bytes) -> None:
    with speaking(answer) as port:
        error = unreachable(f"http://127.0.0.1:{port}")
    assert isinstance(error, errors.NothingThere)
    assert "HTTP" in str(error)


def test_a_connection_that_ends_without_a_word_may_pass() -> None:
    with speaking(b"") as port:
        assert isinstance(unreachable(f"http://127.0.0.1:{port}"), errors.ProviderUnavailable)


def test_a_plain_server_behind_https_cannot_pass(server: Server) -> None:
    error = unreachable(f"https://127.0.0.1:{server.host[1]}")
    assert isinstance(error, errors.NothingThere)
    assert "TLS" in str(error)


def test_a_certificate_that_is_not_accepted_cannot_pass(server: Server, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    error = unreachable(f"https://127.0.0.1:{server.host[1]}")
    assert isinstance(error, errors.InvalidProvider)
    assert "certificate" in str(error)
    assert error.field == "base_url"
    assert not isinstance(error, errors.NothingThere), "also not of a name that we know"


def self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path

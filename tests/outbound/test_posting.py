"""A post meets receivers that hang, drip, flood, redirect, lack TLS or change their address."""

import datetime
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from outbound.posting import KEPT_BYTES, MOST_ANSWER_BYTES, Answer, NoAnswer, Poster
from outbound.receiver_url import parse_receiver_url
from outbound.sockets import GuardedBackend
from tests.servers.receiver import Post, Receiver, receiving

SECONDS = 0.5
"""Short, for those that would never answer."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


Deliver = Callable[..., Answer]


@pytest.fixture
def deliver(receiver: Receiver) -> Iterator[Deliver]:
    opened: list[Poster] = []

    def deliver(url: str = receiver.url, seconds: float = 15, **options: object) -> Answer:
        poster = Poster(GuardedBackend([receiver.host]), seconds=seconds, **options)  # type: ignore[arg-type]
        opened.append(poster)
        return poster.post(parse_receiver_url(url, [receiver.host]), b"{}", HEADERS)

    yield deliver
    for poster in opened:
        poster.close()


HEADERS = {"webhook-id": "msg_1", "Content-Type": "application/json"}


def failing(deliver: Deliver, **options: object) -> NoAnswer:
    with pytest.raises(NoAnswer) as caught:
        deliver(**options)
    return caught.value


def test_the_answer_comes_with_its_status_and_first_kilobyte(
    receiver: Receiver, deliver: Deliver
) -> None:
    receiver.manner = lambda post: post.answer(201, b"x" * 5000, Retry_After="7")
    answer = deliver()
    assert (answer.status, answer.excerpt) == (201, b"x" * KEPT_BYTES)
    assert answer.headers["retry-after"] == "7"
    assert receiver.headers[0]["connection"] == "close"


def _hang(post: Post) -> None:
    post.server.goodbye.wait()


def _drip(post: Post) -> None:
    post.send_response(200)
    post.send_header("Content-Length", "1000000")
    post.end_headers()
    while not post.server.goodbye.wait(0.05):
        post.wfile.write(b".")


def _drip_headers(post: Post) -> None:
    post.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not post.server.goodbye.wait(0.05):
        post.wfile.write(b".")


def _flood(post: Post) -> None:
    post.send_response(200)
    post.end_headers()
    while not post.server.goodbye.is_set():
        post.wfile.write(b"x" * 65536)


def _break(post: Post) -> None:
    post.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    post.close_connection = True


def _speak_otherwise(post: Post) -> None:
    post.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    post.close_connection = True


@pytest.mark.parametrize(
    ("manner", "code", "excerpt"),
    [
        (_hang, "timed_out", None),
        (_drip, "timed_out", b"."),
        (_drip_headers, "timed_out", None),
        (_flood, "answer_too_large", b"x" * KEPT_BYTES),
        (_break, "connection_broken", b"abc"),
        (_speak_otherwise, "not_http", None),
    ],
)
def test_a_bad_receiver_is_bounded_in_time_and_bytes(
    receiver: Receiver, deliver: Deliver, manner: Callable[[Post], None], code: str, excerpt: bytes
) -> None:
    receiver.manner = manner
    is_slow = code == "timed_out"
    error = failing(deliver, **({"seconds": SECONDS} if is_slow else {}))
    assert error.code == code
    if excerpt is None:
        assert error.answer is None
    else:
        assert error.answer is not None
        assert error.answer.excerpt.startswith(excerpt[:1])
        assert len(error.answer.excerpt) <= KEPT_BYTES < MOST_ANSWER_BYTES


@pytest.mark.parametrize("place", ["http://169.254.169.254/latest/", "/elsewhere"])
def test_a_redirect_is_an_answer_and_not_followed(
    receiver: Receiver, deliver: Deliver, place: str
) -> None:
    receiver.manner = lambda post: post.answer(307, Location=place)
    assert deliver().status == 307
    assert (len(receiver.ids), receiver.n_gets) == (1, 0)


def test_where_nobody_listens(deliver: Deliver, receiver: Receiver) -> None:
    receiver.shutdown()
    receiver.server_close()
    assert failing(deliver).code == "connection_refused"


def test_the_proxies_of_the_environment_are_not_used(
    receiver: Receiver, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert deliver().status == 204


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        (["10.0.0.1"], "url_not_allowed"),
        (["8.8.8.8", "169.254.169.254"], "url_not_allowed"),
        ([], "url_not_allowed"),
    ],
    ids=["private", "one of two", "none"],
)
def test_a_name_that_leads_inside_is_not_connected_to(answers: list[str], code: str) -> None:
    poster = Poster(GuardedBackend(resolve=lambda host, port: answers))
    with pytest.raises(NoAnswer) as caught:
        poster.post(parse_receiver_url("https://hooks.example/"), b"{}", {})
    assert caught.value.code == code


def test_a_name_that_turns_inside_after_the_check_is_caught(receiver: Receiver) -> None:
    """Resolved once for each connection: the address that was checked is the one that is used."""
    answers = iter([["8.8.8.8"], ["127.0.0.1"]])
    backend = GuardedBackend(resolve=lambda host, port: next(answers))
    url = parse_receiver_url(f"https://rebind.example:{receiver.host[1]}/")
    backend.check(url.host, url.port)  # as at creation
    with pytest.raises(NoAnswer) as caught:
        Poster(backend).post(url, b"{}", {})
    assert caught.value.code == "url_not_allowed"
    assert receiver.ids == []


def _certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_a_certificate_that_nobody_vouches_for_is_refused(
    receiver: Receiver, deliver: Deliver, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(tmp_path))
    receiver.socket = context.wrap_socket(
        receiver.socket, server_side=True, do_handshake_on_connect=False
    )
    url = f"https://127.0.0.1:{receiver.host[1]}/"
    assert failing(deliver, url=url).code == "tls_failed"
    assert receiver.ids == []


def test_a_receiver_without_tls_is_told_apart(receiver: Receiver, deliver: Deliver) -> None:
    url = f"https://127.0.0.1:{receiver.host[1]}/"
    assert failing(deliver, url=url).code == "tls_failed"

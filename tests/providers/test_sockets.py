"""The guard at the socket, with the spellings and tricks that were measured."""

import json
import re
from collections.abc import Callable, Iterator

import httpcore2
import pytest

from outbound.addresses import is_public, parse_allowed
from outbound.errors import AddressForbidden as GuardForbidden
from outbound.sockets import GuardedBackend
from providers.base_url import parse_base_url
from providers.errors import AddressForbidden, InvalidProvider, ProviderError
from providers.http.exchange import Exchange
from tests.servers.fault_server import Server

FORBIDDEN = re.split(
    r"\s+",
    """127.0.0.1 localhost 0 0.0.0.0 127.1 2130706433 0x7f000001 0177.0.0.1 ①②⑦.⓪.⓪.①
127。0。0。1 [::1] [::] [::ffff:127.0.0.1] [::127.0.0.1] [64:ff9b::a9fe:a9fe] [2002:a9fe:a9fe::1]
[2001:0:1::1] [fe80::1] [fec0::1] [fd00:ec2::254] 169.254.169.254 2852039166 169.254.170.2
100.100.100.200 192.0.0.192 168.63.129.16 10.0.0.1 172.31.0.1 192.168.0.1 198.18.0.1 224.0.0.1
255.255.255.255 good.example@127.0.0.1 localhost.localdomain [::ffff:0:127.0.0.1] [5f00::1]
100.64.0.1 [ff02::1] 240.0.0.1 0.1.2.3""",
)


@pytest.mark.parametrize("host", FORBIDDEN)
def test_no_spelling_of_a_forbidden_address_is_connected_to(server: Server, host: str) -> None:
    port = server.server_address[1]
    with (
        Exchange(GuardedBackend()) as exchange,
        pytest.raises((ProviderError, ValueError, TypeError)),
    ):
        exchange.post(f"http://{host}:{port}/v1/embeddings", {}, headers={}, seconds=2)
    # As a base URL, those that are no plain host are refused before anything is resolved.
    with pytest.raises(InvalidProvider):
        parse_base_url(f"http://{host}:{port}/v1")
    assert server.requests == []


class Recording(httpcore2.SyncBackend):
    """Remembers where it would connect to."""

    def __init__(self) -> None:
        self.addresses: list[str] = []

    def connect_tcp(self, host: str, *args: object, **options: object) -> httpcore2.NetworkStream:
        self.addresses.append(host)
        raise httpcore2.ConnectError


def guarded(resolve: Callable[[str, int], list[str]]) -> tuple[GuardedBackend, Recording]:
    backend = GuardedBackend(resolve=resolve)
    recording = backend._plain = Recording()
    return backend, recording


def test_a_name_that_turns_to_loopback_is_caught_at_the_next_connection() -> None:
    answers: Iterator[list[str]] = iter([["93.184.216.34"], ["127.0.0.1"]])
    backend, recording = guarded(lambda host, port: next(answers))
    with pytest.raises(httpcore2.ConnectError):
        backend.connect_tcp("rebind.example", 443)
    with pytest.raises(GuardForbidden):
        backend.connect_tcp("rebind.example", 443)
    assert recording.addresses == ["93.184.216.34"], "the very address that was checked"


def test_one_forbidden_answer_spoils_the_host() -> None:
    backend, recording = guarded(lambda host, port: ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(GuardForbidden) as caught:
        backend.connect_tcp("mixed.example", 443)
    assert recording.addresses == []
    assert "10.0.0.1" not in str(caught.value), "what a name leads to inside is not told"


def test_only_the_allowed_port_of_an_allowed_host_is_reached(server: Server) -> None:
    host, port = server.host
    with Exchange(GuardedBackend([(host, port)])) as exchange:
        body = {"input": ["a"], "model": "toy"}
        answer = exchange.post(f"{server.url}/embeddings", body, headers={}, seconds=20)
        assert len(json.loads(answer.body)["data"]) == 1
        with pytest.raises(AddressForbidden):
            exchange.post(f"http://{host}:{port + 1}/", {}, headers={}, seconds=20)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "93.184.216.34", "::ffff:8.8.8.8"]
)
def test_the_public_internet_is_reached(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "gopher://127.0.0.1:6379/_X", "ftp://x/", "https://", "", "x"),
        *("https://user@host.example", "https://host.example/?a=1", "https://host.example/#a"),
        *("https://good.example\\@169.254.169.254/", "https://host.example/../x", "https://a b/"),
        *("https://host.example\n/", "https://127.0.0.1\t/", "https://host:99999", "http:///x"),
        *("http://host.example", "https://host.example:22", "https://" + "a" * 600),
    ],
)
def test_a_base_url_is_plain_https_on_its_port(url: str) -> None:
    with pytest.raises(InvalidProvider) as caught:
        parse_base_url(url)
    assert caught.value.field == "base_url"


def test_a_base_url_has_an_origin() -> None:
    url = parse_base_url("HTTPS://API.Example:443/v1/")
    assert (url.origin, str(url)) == ("https://api.example", "https://api.example/v1")
    allowed = parse_allowed("ollama:11434, [fd00::1]:80")
    assert parse_base_url("http://ollama:11434/v1", allowed).origin == "http://ollama:11434"
    assert parse_base_url("http://[fd00::1]", allowed).origin == "http://[fd00::1]"
    for wrong in ("ollama", "http://ollama:1", "ollama:port", "a b:1"):
        with pytest.raises(ValueError, match="host:port"):
            parse_allowed(wrong)

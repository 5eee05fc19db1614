"""What keeps a client from connecting is one NMTuneError of one line, that names the way out."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from nmtune_client import AsyncClient, Client, ConnectionSetupError, NMTuneError, RetryPolicy
from nmtune_client._http.proxy import proxy_for

REMOTE = "http://nmtune.example:8000"
ONCE = RetryPolicy(tries=1)
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "NMTUNE_URL"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# variable, value, what the message says beside the variable
UNUSABLE = [
    ("ALL_PROXY", "socks5://user:geheim@127.0.0.1:9", "nmtune-client[socks]"),
    ("ALL_PROXY", "socks5h://127.0.0.1:9", "pip install"),
    ("all_proxy", "socks4://127.0.0.1:9", "not the address of a proxy"),
    ("HTTP_PROXY", "://", "not the address of a proxy"),
    ("HTTP_PROXY", "http://", "not the address of a proxy"),
    ("http_proxy", "http://proxy:port", "not the address of a proxy"),
    ("HTTP_PROXY", "http://proxy:99999", "not the address of a proxy"),
    ("HTTP_PROXY", "ftp://me:geheim@proxy", "not the address of a proxy"),
    ("HTTP_PROXY", "http://[::1", "not the address of a proxy"),
]


@pytest.mark.parametrize(("variable", "value", "says"), UNUSABLE)
@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_a_proxy_that_cannot_be_used_names_its_variable(
    client: type, variable: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConnectionSetupError) as caught:
        client(REMOTE)
    message = str(caught.value)
    assert message.startswith(variable)
    assert says in message
    assert "NO_PROXY=nmtune.example" in message
    assert "\n" not in message
    assert "geheim" not in message


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize("url", [5, 0, b"http://host", ["http://host"], Path("http://host")])
def test_an_address_that_is_no_string_is_named(client: type, url: object) -> None:
    with pytest.raises(TypeError, match="base_url must be the server's address, such as 'http"):
        client(url)


@pytest.mark.parametrize(
    "url",
    [
        "nmtune.example",
        "ftp://nmtune.example",
        "http://",
        "http://a b",
        "http://host:port",
        "http://host:99999",
        "http://[::1",
        "http://me:geheim@host:port",
        "http://host/?x=1",
        "http://host/#x",
    ],
)
def test_a_url_that_is_none_is_refused_and_where_it_came_from_is_named(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NMTuneError, match=r"base URL|not the address") as caught:
        Client(url)
    assert isinstance(caught.value, ValueError)
    assert "geheim" not in str(caught.value)
    monkeypatch.setenv("NMTUNE_URL", url)
    with pytest.raises(ConnectionSetupError, match=r"^NMTUNE_URL is ") as named:
        AsyncClient()
    assert "geheim" not in str(named.value)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_missing_name_their_variable(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    monkeypatch.setenv(variable, str(tmp_path / "missing.pem"))
    Client(REMOTE).close()  # http needs none
    if variable == "SSL_CERT_FILE":
        for path in (tmp_path / "missing.pem", broken):
            monkeypatch.setenv(variable, str(path))
            with pytest.raises(ConnectionSetupError, match=f"^{variable} is .*unset it"):
                Client("https://nmtune.example")


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("*", REMOTE),
        ("nmtune.example", REMOTE),
        ("NMTUNE.EXAMPLE", REMOTE),
        ("other, nmtune.example", REMOTE),
        ("other nmtune.example", REMOTE),
        ("example", REMOTE),
        (".example", REMOTE),
        ("*.example", REMOTE),
        (".nmtune.example", REMOTE),
        ("nmtune.example:8000", REMOTE),
        ("http://nmtune.example", REMOTE),
        ("10.0.0.0/8", "http://10.1.2.3:8000"),
        ("10.1.2.3", "http://10.1.2.3:8000"),
        ("10.1.2.3:80", "http://10.1.2.3"),
        ("fd00::/8", "http://[fd00::1]:8000"),
        ("[fd00::1]", "http://[fd00::1]:8000"),
        ("fd00::1", "https://[fd00::1]"),
        ("", "http://127.0.0.1:8000"),
        ("", "http://127.9.9.9"),
        ("", "http://[::1]:8000"),
        ("", "http://localhost:8000"),
    ],
)
def test_no_proxy_is_read_in_every_form(
    no_proxy: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_for(url) is None
    Client(url).close()


@pytest.mark.parametrize(
    "no_proxy", ["", "other.example", "tune.example", "nmtune.example:9", "10.0.0.0/8", "[::1", ","]
)
def test_what_no_proxy_does_not_name_goes_through_the_proxy(
    no_proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "me:geheim@127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    with (
        Client(REMOTE, retry=ONCE) as client,
        pytest.raises(NMTuneError, match="cannot reach") as caught,
    ):
        client.heads.get("pets")
    message = str(caught.value)
    assert "through the proxy http://127.0.0.1:9 that HTTP_PROXY names" in message
    assert "NO_PROXY=nmtune.example" in message
    assert "geheim" not in message


UNREACHABLE = [
    "http://127.0.0.1:9",
    "http://nmtune.invalid:8000",
    f"http://{'a' * 70}.example",
    "http://nmtune..invalid",
    "http://me:geheim@127.0.0.1:9",
]


@pytest.mark.parametrize("url", UNREACHABLE)
def test_whatever_keeps_from_connecting_is_an_error_of_the_client(url: str) -> None:
    with pytest.raises(NMTuneError) as caught, Client(url, retry=ONCE) as client:
        client.heads.get("pets")
    assert "\n" not in str(caught.value)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("url", UNREACHABLE)
def test_the_asynchronous_client_says_the_same(url: str) -> None:
    async def ask() -> None:
        async with AsyncClient(url, retry=ONCE) as client:
            await client.heads.get("pets")

    with pytest.raises(NMTuneError):
        asyncio.run(ask())


def test_a_closed_client_says_so() -> None:
    client = Client("http://127.0.0.1:9", retry=ONCE)
    client.close()
    with pytest.raises(NMTuneError, match="this client was closed"):
        client.heads.get("pets")


def test_a_closed_asynchronous_client_says_so() -> None:
    async def ask() -> None:
        client = AsyncClient("http://127.0.0.1:9", retry=ONCE)
        await client.close()
        await client.heads.get("pets")

    with pytest.raises(NMTuneError, match="this client was closed"):
        asyncio.run(ask())


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", 2),
        ("HTTP_PROXY", "http://", 2),
        ("HTTP_PROXY", "http://127.0.0.1:9", 3),
        ("NMTUNE_URL", "nowhere", 2),
    ],
)
def test_the_command_line_prints_one_line(variable: str, value: str, code: int) -> None:
    environment = {"NMTUNE_URL": REMOTE, variable: value}
    command = [sys.executable, "-m", "nmtune_client._cli.main", "heads"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == code, done.stderr
    assert variable in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_client_shows_its_server_but_no_password() -> None:
    with Client("http://me:geheim@nmtune.example:8000") as client:
        assert repr(client) == "Client('http://nmtune.example:8000')"
    assert repr(AsyncClient(REMOTE)) == "AsyncClient('http://nmtune.example:8000')"

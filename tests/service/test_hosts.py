"""Which hosts and pages the server takes for its own."""

import pytest
from pydantic import ValidationError

from service.hosts import MOST_REMEMBERED, Hosts, is_address
from service.settings import ServiceSettings

ALLOWED = "nmtune.corp, *.lab.example:9000 ::2 münchen.example"
HERE = Hosts(listening_on="127.0.0.1", allowed=ALLOWED)

OURS = [
    "localhost",
    "LOCALHOST:8000",
    "localhost.",
    "localhost:",
    " localhost ",
    "127.0.0.1",
    "127.0.0.1:8000",
    "127.5.5.5",
    "[::1]",
    "[::1]:8000",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "nmtune.corp",
    "NMTune.Corp:99",
    "a.lab.example:9000",
    "a.b.lab.example:9000",
    "[::2]",
    "xn--mnchen-3ya.example",
]
FOREIGN = [
    "",
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "evillocalhost",
    "notnmtune.corp",
    "a.nmtune.corp",
    "nmtune.corp.evil.example",
    "lab.example:9000",
    "xlab.example:9000",
    "a.lab.example",
    "a.lab.example:9001",
    "127.0.0.1@evil.example",
    "evil.example@127.0.0.1",
    "user:pass@localhost",
    "localhost#evil",
    "localhost/",
    "localhost?x",
    "http://localhost",
    "localhost, evil.example",
    "localhost evil.example",
    "localhost:99999",
    "localhost:8a",
    "localhost:-1",
    "localhost:80:80",
    "localhost..",
    ".localhost",
    "[localhost]",
    "[127.0.0.1]",
    "::1",
    "[::1",
    "[::1]x",
    "[::1]8000",
    "[::1%25lo]",
    "[::1%lo]",
    "10.0.0.1",
    "0.0.0.0",
    "128.0.0.1",
    "0x7f.1",
    "2130706433",
    "localhost\x00",
    "löcalhost",
    "ⓛocalhost",
    "127.0.0.1\N{FULLWIDTH FULL STOP}1",
]


@pytest.mark.parametrize("host", OURS)
def test_a_name_of_this_server_is_known_however_it_is_written(host: str) -> None:
    assert HERE.knows(host.encode())
    assert HERE.knows(host.encode())  # from memory too


@pytest.mark.parametrize("host", FOREIGN)
def test_any_other_name_is_not(host: str) -> None:
    assert not HERE.knows(host.encode())
    assert not HERE.knows(host.encode())


def test_a_client_that_makes_up_ports_takes_no_memory() -> None:
    hosts = Hosts(listening_on="127.0.0.1")
    assert all(hosts.knows(b"localhost:%d" % port) for port in range(2 * MOST_REMEMBERED))
    assert len(hosts._known) <= MOST_REMEMBERED


@pytest.mark.parametrize("listening_on", ["0.0.0.0", "::", "192.168.1.5", "gpu.corp", ""])
def test_a_server_beyond_loopback_is_known_by_any_address_but_by_no_foreign_name(
    listening_on: str,
) -> None:
    hosts = Hosts(listening_on=listening_on)
    assert hosts.knows(b"192.168.1.5:8000")
    assert hosts.knows(b"[2001:db8::5]:8000")
    assert hosts.knows(b"localhost:8000")
    assert not hosts.knows(b"192.168.1.5.evil.example")
    assert not hosts.knows(b"evil.example")
    assert hosts.knows(b"gpu.corp:8000") == (listening_on == "gpu.corp")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8000", "localhost:8000"),
        ("HTTP://LocalHost:8000", "localhost:8000"),
        ("http://127.0.0.1", "127.0.0.1:80"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("https://nmtune.corp", "nmtune.corp"),  # a proxy that speaks TLS for us
        ("https://nmtune.corp:8443", "nmtune.corp:8443"),
        ("https://nmtune.corp", "nmtune.corp:443"),
        ("https://nmtune.corp", "api:8000"),  # a proxy with a Host of its own
    ],
)
def test_a_page_of_this_server_is_its_own(origin: str, host: str) -> None:
    assert HERE.is_own_page(origin.encode(), host.encode())


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("null", "localhost:8000"),
        ("", ""),
        ("http://evil.example", "localhost:8000"),
        ("http://localhost:3000", "localhost:8000"),  # another server of this machine
        ("http://localhost", "localhost:8000"),
        ("http://127.0.0.1:8000", "localhost:8000"),
        ("https://nmtune.corp:9443", "nmtune.corp"),
        (
            "https://a.lab.example:9000",
            "localhost:8000",
        ),  # a name, no page
        ("http://localhost:8000.evil.example", "localhost:8000"),
        ("http://localhost:8000@evil.example", "localhost:8000"),
        ("http://evil.example/localhost:8000", "localhost:8000"),
        ("http://localhost:8000/", "localhost:8000"),
        ("localhost:8000", "localhost:8000"),
        ("file://", "localhost:8000"),
        ("chrome-extension://localhost:8000", "localhost:8000"),
    ],
)
def test_a_page_of_anything_else_is_not(origin: str, host: str) -> None:
    assert not HERE.is_own_page(origin.encode(), host.encode())


def test_a_probe_asks_by_address() -> None:
    assert is_address(b"10.1.2.3:8000")
    assert is_address(b"[fd00::1]:8000")
    assert not is_address(b"evil.example")
    assert not is_address(b"10.1.2.3.evil.example")


@pytest.mark.parametrize(
    "wrong", ["*", "https://nmtune.corp", "a/b", "*.10.0.0.1", "a:b", "a:70000", "*.*.a", "a..b"]
)
def test_a_setting_that_names_no_host_is_refused_at_the_start(wrong: str) -> None:
    with pytest.raises(ValidationError, match=r"is not a host\. Write names such as"):
        ServiceSettings(allowed_hosts=f"fine.example,{wrong}")

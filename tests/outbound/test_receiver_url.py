"""Which URLs may be told of events, by their form."""

import pytest

from outbound.receiver_url import UrlNotAllowed, parse_receiver_url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://hooks.example/", "NMTUNE_WEBHOOK_ALLOW_HOSTS"),
        ("https://user:pw@hooks.example/", "user name"),
        ("https://hooks.example/#top", "fragment"),
        ("https://hooks.example/#", "fragment"),
        ("https://hooks.example:0/", "port"),
        ("https://hooks.example:/", "port"),
        ("https://hooks.example:99999/", "port"),
        ("https://hooks.example:port/", "port"),
        ("ftp://hooks.example/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("//hooks.example/", "https://"),
        ("https://", "host"),
        ("https:///x", "host"),
        ("https://höoks.example/", "ASCII"),
        ("https://hooks.example/a b", "spaces"),
        ("https://hooks.example\n/", "spaces"),
        ("https://good.example\\@169.254.169.254/", "user name"),
        ("https://good.example\\.evil.example/", "host"),
        ("https://hooks.example/" + "a" * 2000, "2000"),
        ("", "1 to 2000"),
    ],
)
def test_what_is_refused_says_why(url: str, words: str) -> None:
    with pytest.raises(UrlNotAllowed, match=words):
        parse_receiver_url(url)


def test_https_may_go_to_any_port_and_keeps_its_query() -> None:
    url = parse_receiver_url("HTTPS://Hooks.Example:8443/a/b?team=x&y=%20")
    assert (url.scheme, url.host, url.port) == ("https", "hooks.example", 8443)
    assert url.target == "/a/b?team=x&y=%20"
    assert parse_receiver_url("https://[2606:4700::1111]?a").target == "/?a"


def test_plain_http_goes_only_where_the_operator_lets_it() -> None:
    allowed = [("receiver", 8080)]
    assert parse_receiver_url("http://receiver:8080/x", allowed).port == 8080
    for other in ("http://receiver/x", "http://receiver:8081/x"):
        with pytest.raises(UrlNotAllowed):
            parse_receiver_url(other, allowed)

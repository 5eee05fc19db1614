"""`nmtune provider-keys`: a key is never on the command line, and never shown."""

import io
import json
from typing import Any

import pytest
from nmtune_client._cli.operate import provider_keys

SECRET = "sk-canary-4711"


@pytest.fixture(autouse=True)
def _server(server: Any) -> None:
    server.on("PUT", "/provider-keys", server.ok(None, status=204))
    server.on("GET", "/provider-keys", server.ok({"items": [{"origin": "https://a.example"}]}))
    server.on("DELETE", "/provider-keys", server.ok(None, status=204))


class Terminal(io.StringIO):
    """A standard input that somebody sits at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("way", ["terminal", "pipe", "variable"])
def test_a_key_is_asked_for_piped_in_or_named(
    server: Any, nmtune: Any, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    options: tuple[str, ...] = ()
    if way == "terminal":
        monkeypatch.setattr("sys.stdin", Terminal())
        monkeypatch.setattr(provider_keys, "getpass", lambda prompt: SECRET)
    elif way == "pipe":
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{SECRET}\n"))
    else:
        monkeypatch.setenv("MY_KEY", SECRET)
        options = ("--env", "MY_KEY")
    code, out, err = nmtune("provider-keys", "set", "openai", *options)
    assert code == 0
    assert server.seen("PUT", "/provider-keys")[0].json == {"origin": "openai", "key": SECRET}
    assert SECRET not in out + err


def test_a_key_on_the_command_line_is_refused_and_not_repeated(server: Any, nmtune: Any) -> None:
    code, out, err = nmtune("provider-keys", "set", "openai", SECRET)
    assert code == 2
    assert "history" in err
    assert "--env" in err
    assert SECRET not in out + err
    assert server.seen("PUT", "/provider-keys") == []


@pytest.mark.parametrize("options", [(), ("--env", "NO_SUCH_VARIABLE_4711")])
def test_without_a_key_nothing_is_sent(
    server: Any, nmtune: Any, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    code, _, err = nmtune("provider-keys", "set", "openai", *options)
    assert code == 2
    assert err.startswith("nmtune: ")
    assert server.seen("PUT", "/provider-keys") == []


def test_keys_are_listed_and_deleted(server: Any, nmtune: Any) -> None:
    for arguments in (("provider-keys",), ("provider-keys", "list")):
        code, out, _ = nmtune(*arguments)
        assert code == 0
        assert "https://a.example" in out
    assert json.loads(nmtune("provider-keys", "--json")[1]) == [{"origin": "https://a.example"}]
    code, _, err = nmtune("provider-keys", "delete", "openai")
    assert code == 0
    assert "openai" in err
    assert server.seen("DELETE", "/provider-keys")

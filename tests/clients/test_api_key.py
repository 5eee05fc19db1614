"""The key of a client: where it comes from, whom it goes to, and that nothing shows it."""

import io
import json
import logging
import stat
from pathlib import Path
from typing import Any

import nmtune_client
import pytest
from nmtune_client import (
    ApiKey,
    AsyncClient,
    AuthenticationError,
    Client,
    ConnectionSetupError,
    PermissionDeniedError,
    RetryPolicy,
)
from nmtune_client._cli.operate import login
from nmtune_client._http import api_key

KEY = "nmk_canary4711"
OTHER = "nmk_other4712"
AT = "2026-12-01T09:30:00Z"
TOLD = {
    "id": "key_1",
    "name": "ci",
    "hint": "nmk_...4711",
    "scopes": ["read"],
    "heads": None,
    "created_at": AT,
    "created_by": "operator",
    "expires_at": None,
    "never_expires": True,
    "revoked_at": None,
    "last_used_at": None,
    "successor_id": None,
}
WHO = {
    "tenant_id": "lab", "key_id": "key_1", "name": "ci", "scopes": ["predict", "read"],
    "heads": None, "expires_at": AT, "keys_on": True,
}  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(api_key.KEY_VARIABLE, raising=False)
    return tmp_path / "config"


@pytest.fixture(autouse=True)
def _server(server: Any) -> None:
    server.on("GET", "/identity", server.ok(WHO))
    server.on("GET", "/keys", server.ok({"items": [TOLD], "next_cursor": None}))
    server.on("GET", "/keys/key_1", server.ok(TOLD))
    server.on("POST", "/keys", server.ok({**TOLD, "key": OTHER}, status=201))
    server.on("POST", "/keys/key_1/rotate", server.ok({**TOLD, "key": OTHER}, status=201))
    server.on("DELETE", "/keys/key_1", server.ok({**TOLD, "revoked_at": AT}))


def sent(server: Any) -> str | None:
    """The last Authorization header that came."""
    header: str | None = server.requests[-1].headers.get("authorization")
    return header


def test_an_argument_wins_over_the_environment_and_that_over_what_is_kept(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(**arguments: Any) -> str | None:
        with Client(server.url, **arguments) as client:
            client.identity()
        return sent(server)

    assert asked() is None
    api_key.keep(server.url, "kept")
    assert asked() == "Bearer kept"
    monkeypatch.setenv("NMTUNE_API_KEY", "variable")
    assert asked() == "Bearer variable"
    assert asked(api_key="argument") == "Bearer argument"


def test_a_kept_key_goes_to_its_own_server_alone(server: Any) -> None:
    api_key.keep("http://localhost:1", KEY)
    api_key.keep("https://127.0.0.1", KEY)
    with Client(server.url) as client:
        client.identity()
    assert sent(server) is None
    assert api_key.key_for("http://LOCALHOST:1/below", None) == KEY
    assert api_key.key_for("https://127.0.0.1:443", None) == KEY
    assert api_key.key_for("http://127.0.0.1:443", None) is None


def test_nothing_shows_the_key(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    for status in (401, 403, 500):
        server.on("GET", "/jobs/job_1", server.problem(status, "code", detail="no"))
        with (
            caplog.at_level(logging.DEBUG),
            Client(server.url, api_key=KEY, retry=RetryPolicy(tries=1)) as client,
        ):
            shown = [repr(client), repr(client.keys), repr(client._server), repr(client._http)]
            with pytest.raises(nmtune_client.APIStatusError) as caught:
                client.jobs.get("job_1")
            shown += [str(caught.value), repr(caught.value)]
        assert not [text for text in shown if KEY in text]
    assert KEY not in caplog.text
    with (
        Client("http://127.0.0.1:9", api_key=KEY, retry=RetryPolicy(tries=1)) as client,
        pytest.raises(nmtune_client.APIConnectionError) as refused,
    ):
        client.identity()
    assert KEY not in str(refused.value)


def test_refusals_have_classes(server: Any) -> None:
    for status, cls in ((401, AuthenticationError), (403, PermissionDeniedError)):
        server.on("GET", "/identity", server.problem(status, "code", detail="no"))
        with Client(server.url) as client, pytest.raises(cls):
            client.identity()


@pytest.mark.parametrize("wrong", ["a b", "nmk_ä", "x" * 300, "a\nX-Evil: 1"])
def test_what_cannot_be_a_key_is_refused_unseen(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConnectionSetupError, match="api_key") as caught:
        Client("http://127.0.0.1:9", api_key=wrong)
    assert wrong not in str(caught.value)
    monkeypatch.setenv("NMTUNE_API_KEY", wrong)
    with pytest.raises(ConnectionSetupError, match="NMTUNE_API_KEY"):
        AsyncClient("http://127.0.0.1:9")
    with pytest.raises(TypeError):
        Client("http://127.0.0.1:9", api_key=b"nmk")  # type: ignore[arg-type]


def test_kept_keys_are_for_their_owner_alone(home: Path) -> None:
    path = api_key.keep("http://a.example", KEY)
    assert path == home / "nmtune" / "keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    api_key.keep("http://b.example", OTHER)
    assert json.loads(path.read_text()) == {
        "http://a.example:80": KEY,
        "http://b.example:80": OTHER,
    }
    assert [one.name for one in path.parent.iterdir()] == ["keys.json"]
    path.chmod(0o640)
    with pytest.raises(ConnectionSetupError, match="chmod 600"):
        Client("http://a.example")
    path.chmod(0o600)
    path.write_text("[1]")
    with pytest.raises(ConnectionSetupError, match="nmtune login"):
        Client("http://a.example")


def test_keys_are_managed(server: Any) -> None:
    with Client(server.url, api_key=KEY) as client:
        made = client.keys.create("ci", scopes="read", expires_in_seconds=None)
        assert made.key == OTHER
        assert OTHER not in repr(made)
        assert server.seen("POST", "/keys")[0].json == {
            "name": "ci", "scopes": ["read"], "expires_in_seconds": "never",
        }  # fmt: skip
        assert "idempotency-key" not in server.seen("POST", "/keys")[0].headers
        assert client.keys.rotate("key_1", overlap_seconds=60).key == OTHER
        assert server.seen("POST", "/keys/key_1/rotate")[0].json == {"overlap_seconds": 60}
        assert [key.id for key in client.keys.list()] == ["key_1"]
        key = client.keys.get("key_1")
        assert isinstance(key, ApiKey)
        assert key.created_at is not None
        assert client.keys.revoke("key_1", force=True).revoked_at is not None
        assert server.seen("DELETE", "/keys/key_1")[0].query == {"force": "true"}
        assert client.identity().tenant_id == "lab"


def test_a_key_is_not_made_twice(server: Any) -> None:
    """The first answer may be lost with its key: who asks must know, and look."""
    server.on("POST", "/keys", server.DROP, server.ok({**TOLD, "key": OTHER}, status=201))
    with Client(server.url) as client, pytest.raises(nmtune_client.APIConnectionError):
        client.keys.create("ci", scopes=["read"])
    assert len(server.seen("POST", "/keys")) == 1


def test_login_tries_the_key_and_keeps_it(
    server: Any, nmtune: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n"))
    code, out, err = nmtune("login")
    assert code == 0, err
    assert sent(server) == f"Bearer {KEY}"
    assert "The key ci of the tenant lab may predict, read." in err
    assert KEY not in out + err
    assert api_key.key_for(server.url, None) == KEY
    code, _, err = nmtune("logout")
    assert "forgotten" in err
    assert api_key.key_for(server.url, None) is None


def test_login_keeps_no_wrong_key(
    server: Any, nmtune: Any, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    server.on("GET", "/identity", server.problem(401, "key_invalid", detail="not valid"))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n"))
    code, out, err = nmtune("login")
    assert code == 1
    assert KEY not in out + err
    assert not home.exists()
    code, _, err = nmtune("login", KEY)
    assert code == 2
    assert "history" in err
    assert KEY not in err


def test_login_at_a_terminal_asks(
    server: Any, nmtune: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(login, "getpass", lambda prompt: KEY)
    assert nmtune("login")[0] == 0
    assert sent(server) == f"Bearer {KEY}"


def test_a_server_without_keys_needs_no_login(
    server: Any, nmtune: Any, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    server.on("GET", "/identity", server.ok({**WHO, "keys_on": False}))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n"))
    code, _, err = nmtune("login")
    assert code == 0
    assert "wants no keys" in err
    assert not home.exists()


def test_keys_on_the_command_line(server: Any, nmtune: Any) -> None:
    code, out, err = nmtune("keys", "create", "ci", "--scopes", "predict", "--heads", "a,b")
    assert (code, out.strip()) == (0, OTHER)
    assert "cannot be shown again" in err
    asked = server.seen("POST", "/keys")[0].json
    assert asked == {
        "name": "ci", "scopes": ["predict"], "heads": ["a", "b"], "expires_in_seconds": 7_776_000,
    }  # fmt: skip
    code, out, err = nmtune(
        "--json", "keys", "create", "ci", "--scopes", "read", "--expires", "never"
    )
    assert json.loads(out)["key"] == OTHER
    code, out, _ = nmtune("keys")
    assert "nmk_...4711" in out
    assert nmtune("keys", "rotate", "key_1", "--overlap", "1h")[1].strip() == OTHER
    assert server.seen("POST", "/keys/key_1/rotate")[0].json == {"overlap_seconds": 3600}
    code, _, err = nmtune("keys", "revoke", "key_1")
    assert (code, err.strip()) == (0, "The key ci is revoked.")
    code, _, err = nmtune("keys", "set", "openai")
    assert code == 2
    assert "nmtune provider-keys" in err

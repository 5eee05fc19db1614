"""Who asks is not clear, or may not: each refusal is told, counted, and kept out of the log."""

import logging

import pytest
from fastapi import FastAPI

from service.access.guesses import A_MINUTE
from service.access.who import Access
from service.settings import ServiceSettings
from store.access import keys, tenants
from store.access import secrets as made
from store.store import Store
from tests.service.access.asking import Asking
from tests.service.in_process import assert_problem
from tests.store.access.access_calls import age_key, make_key


def test_no_key(ask: Asking) -> None:
    answer = ask.get("/jobs")
    assert_problem(answer, 401, "key_missing")
    assert answer.headers["www-authenticate"] == "Bearer"


def wrong(key: str) -> dict[str, str]:
    last = "0" if key[-1] != "0" else "1"
    return {
        "mistyped": f"Bearer {key[:-1]}{last}",
        "cut": f"Bearer {key[:-3]}",
        "unknown": f"Bearer {made.new_key()}",
        "nothing": "Bearer ",
        "another scheme": f"Basic {key}",
        "without a scheme": key,
        "somebody's": "Bearer sk-1234567890",
        "long": f"Bearer {'x' * 8000}",
        "not ASCII": "Bearer nmk_äöü",
    }


@pytest.mark.parametrize("how", wrong("nmk_0"))
def test_a_wrong_key_is_refused_and_noted(
    ask: Asking, secrets: dict[str, str], caplog: pytest.LogCaptureFixture, how: str
) -> None:
    header = wrong(secrets["read"])[how].encode()
    with caplog.at_level(logging.WARNING):
        answer = ask.get("/jobs", headers=[(b"Authorization", header)])
    assert "key.refused address=127.0.0.1" in caplog.text
    assert "nmk_" not in caplog.text
    body = assert_problem(answer, 401, "key_invalid")
    assert "mistyped, cut short, unknown or revoked" in body["detail"]
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_revoked_key_is_told_as_an_unknown_one(ask: Asking, store: Store) -> None:
    new = make_key(store, scopes=["read"])
    assert ask.with_key(new.secret, "GET", "/jobs").status_code == 200
    with store.database.begin() as tx:
        keys.revoke(tx, "default", new.key.id)
    fresh = make_key(store, scopes=["read"])
    with store.database.begin() as tx:
        keys.revoke(tx, "default", fresh.key.id)
    told = ask.with_key(fresh.secret, "GET", "/jobs")
    unknown = ask.with_key(made.new_key(), "GET", "/jobs")
    assert_problem(told, 401, "key_invalid")
    assert told.json()["detail"] == unknown.json()["detail"]


def test_an_expired_key_hears_since_when(ask: Asking, store: Store) -> None:
    new = make_key(store, scopes=["read"], keep_seconds=60)
    age_key(store, new.key, 61)
    body = assert_problem(ask.with_key(new.secret, "GET", "/jobs"), 401, "key_invalid")
    assert "expired on 20" in body["detail"]


def test_who_asks_must_be_said_once(ask: Asking, secrets: dict[str, str]) -> None:
    key = secrets["read"].encode()
    twice = [(b"Authorization", b"Bearer " + key)] * 2
    assert_problem(ask.get("/jobs", headers=twice), 400, "ambiguous_credentials")
    both = [(b"Authorization", b"Bearer " + key), (b"Cookie", b"a=b; __Host-nmtune=abc")]
    assert_problem(ask.get("/jobs", headers=both), 400, "ambiguous_credentials")
    another = [(b"Authorization", b"Bearer " + key), (b"Cookie", b"a=b")]
    assert ask.get("/jobs", headers=another).status_code == 200


def test_a_key_never_goes_into_an_address(
    ask: Asking, secrets: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    key = secrets["read"]
    with caplog.at_level(logging.INFO):
        for path in (f"/jobs?api_key={key}", f"/predict?head=pets&token={key}", f"/v2?k={key}"):
            answer = ask.with_key(key, "GET", path)
            assert answer.status_code == 400
            assert "revoke that key" in answer.text
        ask.with_key(key, "GET", f"/heads/{key}", headers={"X-Request-Id": key})
    ours = [one.getMessage() for one in caplog.records if one.name != "httpx"]
    assert any("nmk_..." in line for line in ours)
    assert not [line for line in ours if key in line or key[4:-6] in line]


def test_errors_under_v2_have_the_protocols_shape(ask: Asking) -> None:
    for answer in (ask.get("/v2"), ask.post("/v2/models/pets/infer", json={})):
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json()) == {"error"}
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_tenant_that_is_shut_out(ask: Asking, store: Store, secrets: dict[str, str]) -> None:
    with store.database.begin() as tx:
        tenants.set_disabled(tx, "default", disabled=True)
    answer = ask.with_key(secrets["admin"], "GET", "/jobs")
    body = assert_problem(answer, 403, "tenant_disabled")
    assert "operator" in body["detail"]


def test_guessing_is_slowed_down(ask: Asking, secrets: dict[str, str]) -> None:
    known = secrets["read"]
    assert ask.with_key(known, "GET", "/jobs").status_code == 200
    for _ in range(A_MINUTE):
        assert ask.with_key(made.new_key(), "GET", "/jobs").status_code == 401
    answer = ask.with_key(made.new_key(), "GET", "/jobs")
    assert_problem(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    # Who is known goes on, wherever they sit; who is not known waits.
    assert ask.with_key(known, "GET", "/jobs").status_code == 200
    assert ask.with_key(secrets["write"], "GET", "/jobs").status_code == 429
    assert ask.post("/session", json={"key": secrets["write"]}).status_code == 429


def test_guesses_are_counted_by_address(store: Store) -> None:
    guesses = Access(store, keys_on=True).guesses
    for _ in range(A_MINUTE):
        assert guesses.seconds_to_wait("10.0.0.1") == 0
        guesses.note_wrong("10.0.0.1")
    assert 0 < guesses.seconds_to_wait("10.0.0.1") <= 6
    assert guesses.seconds_to_wait("10.0.0.2") == 0


def test_probes_answer_everybody_and_say_little(
    ask: Asking, secrets: dict[str, str], store: Store
) -> None:
    assert ask.get("/livez").json() == {"status": "ok"}
    assert ask.get("/v2/health/live").status_code == 200
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        answer = ask.get("/readyz", headers=headers)
        assert answer.status_code == 200
        assert {check["message"] for check in answer.json()["checks"].values()} == {None}


@pytest.mark.parametrize(
    ("auth", "host", "on"),
    [
        ("auto", "127.0.0.1", False),
        ("auto", "::1", False),
        ("auto", "localhost", False),
        ("auto", "0.0.0.0", True),
        ("auto", "::", True),
        ("auto", "10.1.2.3", True),
        ("auto", "gpu.corp", True),
        ("on", "127.0.0.1", True),
        ("off", "0.0.0.0", False),
    ],
)
def test_keys_are_on_where_others_reach_the_server(auth: str, host: str, on: bool) -> None:
    assert ServiceSettings(auth=auth, host=host).keys_on == on


def test_without_keys_everybody_may_do_everything(app: FastAPI) -> None:
    app.state.access.keys_on = False
    open_to_all = Asking(app)
    assert open_to_all.get("/keys").json()["items"] == []
    who = open_to_all.get("/identity").json()
    assert (who["tenant_id"], who["keys_on"]) == ("default", False)
    assert who["scopes"] == ["predict", "read", "write", "admin"]
    assert_problem(open_to_all.post("/session", json={"key": "x"}), 409, "keys_off")

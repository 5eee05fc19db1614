"""Sessions of browsers: opened by a key or a link, ended at logout, guarded against other sites."""

import logging

import pytest

from service.access import login_links
from service.access.login_links import LoginLinks
from store.access import keys
from store.store import Store
from tests.service.access.asking import Asking, token_of
from tests.service.in_process import assert_problem
from tests.store.access.access_calls import make_key


def test_a_key_opens_a_session(ask: Asking, secrets: dict[str, str]) -> None:
    answer = ask.post("/session", json={"key": secrets["read"]})
    assert answer.status_code == 204, answer.text
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-nmtune=")
    parts = {part.strip() for part in cookie.split(";")[1:]}
    assert parts == {"Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=43200"}
    token = token_of(answer)
    assert len(token) >= 43  # 256 bits
    assert ask.with_cookie(token, "GET", "/jobs").status_code == 200
    who = ask.with_cookie(token, "GET", "/identity").json()
    assert who["scopes"] == ["predict", "read"]
    assert_problem(ask.with_cookie(token, "GET", "/keys"), 403, "scope_missing")


def test_each_login_gives_a_new_session_and_ends_the_one_before(
    ask: Asking, secrets: dict[str, str]
) -> None:
    first = token_of(ask.post("/session", json={"key": secrets["read"]}))
    second = token_of(ask.with_cookie(first, "POST", "/session", json={"key": secrets["read"]}))
    assert first != second
    assert_problem(ask.with_cookie(first, "GET", "/jobs"), 401, "session_ended")
    assert ask.with_cookie(second, "GET", "/jobs").status_code == 200


def test_logout_ends_it(ask: Asking, secrets: dict[str, str]) -> None:
    token = token_of(ask.post("/session", json={"key": secrets["read"]}))
    answer = ask.with_cookie(token, "DELETE", "/session")
    assert answer.status_code == 204
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert_problem(ask.with_cookie(token, "GET", "/jobs"), 401, "session_ended")
    assert ask.delete("/session").status_code == 204


def test_a_session_ends_with_its_key(ask: Asking, secrets: dict[str, str], store: Store) -> None:
    new = make_key(store, scopes=["read"])
    token = token_of(ask.post("/session", json={"key": new.secret}))
    with store.database.begin() as tx:
        keys.revoke(tx, "default", new.key.id)
    assert_problem(ask.with_cookie(token, "GET", "/jobs"), 401, "session_ended")


def test_another_sites_page_cannot_act_with_the_session(
    ask: Asking, secrets: dict[str, str]
) -> None:
    token = token_of(ask.post("/session", json={"key": secrets["admin"]}))
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}):
        for method, path in (("POST", "/jobs/job_x/cancel"), ("DELETE", "/session")):
            answer = ask.with_cookie(token, method, path, headers=headers)
            assert_problem(answer, 403, "cross_site")
    assert ask.with_cookie(token, "GET", "/jobs").status_code == 200


def test_a_link_signs_in_once(ask: Asking) -> None:
    code = ask.app.state.access.login_links.new_code()
    token = token_of(ask.post("/session", json={"code": code}))
    who = ask.with_cookie(token, "GET", "/identity").json()
    assert (who["key_id"], who["scopes"][-1]) == (None, "admin")
    assert_problem(ask.post("/session", json={"code": code}), 401, "key_invalid")


def test_a_link_is_good_for_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    links, at = LoginLinks(), 1000.0
    monkeypatch.setattr("service.access.login_links.time.monotonic", lambda: at)
    early, late = links.new_code(), links.new_code()
    at += login_links.LIVES_SECONDS - 1
    assert links.use(early)
    at += 2
    assert not links.use(late)


WRONG = {
    "nothing": {},
    "both": {"key": "a", "code": "b"},
    "a number": {"key": 7},
    "something else": {"password": "x"},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_login(ask: Asking, wrong: str) -> None:
    assert_problem(ask.post("/session", json=WRONG[wrong]), 422, "invalid_request")


def test_a_wrong_key_opens_nothing_and_is_in_no_log(
    ask: Asking, secrets: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    wrong = secrets["read"][:-1]
    with caplog.at_level(logging.DEBUG):
        answer = ask.post("/session", json={"key": wrong})
        good = ask.post("/session", json={"key": secrets["read"]})
    assert_problem(answer, 401, "key_invalid")
    assert "set-cookie" not in answer.headers
    for secret in (wrong, token_of(good)):
        assert secret not in caplog.text
        assert secret not in answer.text


def test_a_session_of_nobody(ask: Asking) -> None:
    assert_problem(ask.with_cookie("made-up", "GET", "/jobs"), 401, "session_ended")

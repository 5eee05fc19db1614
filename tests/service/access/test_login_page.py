"""The login page: where pages without a session lead, and never to somebody else's page."""

import gzip

import pytest

from pages import assets
from service.ui.answers import POLICY
from store.access import secrets as made
from tests.pages.reports import Page
from tests.service.access.asking import Asking, token_of


def session(ask: Asking, key: str) -> str:
    return token_of(ask.post("/session", json={"key": key}))


@pytest.mark.parametrize("path", ["/ui/jobs/job_x", "/ui/jobs/job_x/report?split=test", "/ui/no"])
def test_a_page_without_a_session_leads_to_the_login_and_back(
    ask: Asking, secrets: dict[str, str], path: str
) -> None:
    answer = ask.get(path)
    assert answer.status_code == 303
    assert answer.headers["cache-control"] == "no-store"
    up = "../" * (path.count("/") - 1)
    target = answer.headers["location"]
    assert target.startswith(f"{up}ui/login?next=ui%2F")
    page = Page(ask.get("/" + target.removeprefix(up)).text)
    (form,) = [one for one in page.named("form") if "data-send" in one]
    assert form["data-then"] == f"..{path}"
    assert (form["data-send"], form["action"]) == ("POST", "../session")
    token = session(ask, secrets["read"])
    assert ask.with_cookie(token, "GET", path).status_code in {404, 422}


def test_a_session_that_ended_leads_to_the_login(ask: Asking) -> None:
    assert ask.with_cookie("made-up", "GET", "/ui/jobs/job_x").status_code == 303
    assert ask.with_cookie("made-up", "GET", "/ui/login").status_code == 200


def test_what_a_session_may_not_see_is_told_on_a_page(ask: Asking, secrets: dict[str, str]) -> None:
    token = session(ask, secrets["predict"])
    answer = ask.with_cookie(token, "GET", "/ui/jobs/job_x")
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")
    assert "needs the scope read" in Page(answer.text).text


ELSEWHERE = [
    "https://evil.example/",
    "//evil.example",
    "/ui/jobs",
    "ui/../session",
    "ui//evil.example",
    "ui/\\evil.example",
    "javascript:alert(1)",
    "ui/a?next=https://evil.example",
    f"ui/{made.PREFIX}\n",
]


@pytest.mark.parametrize("then", ELSEWHERE, ids=range(len(ELSEWHERE)))
def test_the_login_leads_to_no_other_page(ask: Asking, then: str) -> None:
    page = Page(ask.get("/ui/login", params={"next": then}).text)
    (form,) = [one for one in page.named("form") if "data-send" in one]
    assert form["data-then"] == "../ui/"


def test_who_is_signed_in_may_sign_out(ask: Asking, secrets: dict[str, str]) -> None:
    token = session(ask, secrets["write"])
    answer = ask.with_cookie(token, "GET", "/ui/login")
    page = Page(answer.text)
    assert "the key write of the tenant default" in " ".join(page.text.split())
    (form,) = [one for one in page.named("form") if "data-send" in one]
    assert (form["data-send"], form["action"]) == ("DELETE", "../session")
    assert answer.headers["content-security-policy"] == POLICY


def test_without_keys_there_is_nothing_to_sign_in_to(ask: Asking) -> None:
    ask.app.state.access.keys_on = False
    assert "wants no keys" in Page(ask.get("/ui/login").text).text


def test_the_script_is_small() -> None:
    assert len(gzip.compress(assets.asset("login.js").content)) < 1000

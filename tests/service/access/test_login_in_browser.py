"""Signing in and out in a real Chromium, which keeps the cookie on loopback and over https."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser

from service.listen.tls import Certificate
from store.store import Store
from tests.service.in_process import add_job
from tests.support.certificates import certificate
from tests.support.chromium import Watched, skip_without_chromium
from tests.support.http import serve

skip_without_chromium()

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def complaints(watched: Watched) -> list[str]:
    """What the browser says of the pages, but for the refusals that are meant."""
    return [one for one in watched.complaints if "(Unauthorized)" not in one]


def test_a_key_signs_in_where_one_wanted_to_go_and_out_again(
    browser: Browser, app: FastAPI, store: Store, secrets: dict[str, str]
) -> None:
    path = f"/ui/jobs/{add_job(store)}"
    with serve(app) as server:
        watched = Watched(browser)
        page = watched.page
        page.goto(server.url + path)
        assert "/ui/login?next=" in page.url
        assert not watched.barriers()
        assert not page.locator("[data-insecure]").is_visible()
        page.locator("input[name=key]").fill(secrets["read"][:-1])
        page.get_by_role("button", name="Sign in").click()
        assert "mistyped" in page.get_by_role("alert").inner_text()
        page.locator("input[name=key]").fill(secrets["read"])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"**{path}")
        (cookie,) = watched.context.cookies()
        assert cookie["name"] == "__Host-nmtune"
        assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
        assert page.evaluate("document.cookie") == ""
        page.goto(f"{server.url}/ui/login")
        assert "the key read of the tenant default" in page.locator("main").inner_text()
        assert not watched.barriers()
        page.get_by_role("button", name="Sign out").click()
        page.locator("input[name=key]").wait_for()
        assert watched.context.cookies() == []
        page.goto(server.url + path)
        assert "/ui/login" in page.url
        watched.context.close()
    assert not complaints(watched)
    assert not [url for url in watched.requests if "nmk_" in url]


def test_a_key_signs_in_over_https(
    browser: Browser, app: FastAPI, store: Store, secrets: dict[str, str], tmp_path: Path
) -> None:
    path = f"/ui/jobs/{add_job(store)}"
    files = certificate(tmp_path)
    with serve(app, certificate=Certificate(files.cert, files.key)) as server:
        watched = Watched(browser, ignore_https_errors=True)
        page = watched.page
        page.goto(server.url + path)
        page.locator("input[name=key]").fill(secrets["read"])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{server.url}{path}")
        assert page.locator("h1").inner_text() == "pets"
        (cookie,) = watched.context.cookies()
        assert (cookie["name"], cookie["secure"]) == ("__Host-nmtune", True)
        watched.context.close()
    assert not complaints(watched)


def test_the_printed_link_signs_in_and_leaves_no_trace_of_its_code(
    browser: Browser, app: FastAPI, store: Store, secrets: dict[str, str]
) -> None:
    assert secrets
    code = app.state.access.login_links.new_code()
    with serve(app) as server:
        watched = Watched(browser)
        page = watched.page
        page.goto(f"{server.url}/ui/login#{code}")
        page.wait_for_url("**/ui/")
        page.goto(f"{server.url}/ui/jobs/{add_job(store)}")
        assert page.locator("h1").inner_text() == "pets"
        page.go_back()
        page.go_back()
        assert code not in page.url
        again = browser.new_context().new_page()
        again.goto(f"{server.url}/ui/login#{code}")
        assert "not valid" in again.get_by_role("alert").inner_text()
        assert code not in again.url
        again.context.close()
        watched.context.close()
    # What comes after the # never leaves the browser, but in the one request that uses it.
    assert not [url for url in watched.requests if code in url.partition("#")[0]]

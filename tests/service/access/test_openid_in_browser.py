"""Signing in at a real provider in a real Chromium: the cookies outlive the way there and back."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from service.app import create_app
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store
from tests.servers import openid_provider
from tests.servers.openid_provider import CLIENT_ID, OpenIdProvider, skip_without_node
from tests.service.in_process import add_job
from tests.support.chromium import Watched, skip_without_chromium
from tests.support.http import serve

skip_without_chromium()
skip_without_node()

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_member_signs_in_where_they_wanted_to_go(
    browser: Browser, settings: ServiceSettings, store: Store, tmp_path: Path
) -> None:
    planned = OpenIdProvider.planned()
    chosen = {
        "oidc_issuer": planned.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": planned.client_secret,
        "oidc_groups": '{"team": "default:read"}',
    }
    whole = ServiceSettings(**{**settings.model_dump(), **chosen})
    path = f"/ui/jobs/{add_job(store)}"
    with serve(create_app(whole, store=store, queue=LocalQueue())) as server:
        back = f"{server.url}/ui/login/openid/callback"
        groups = {"alice": ["team"]}
        with openid_provider.serving(
            tmp_path, redirect_uris=[back], groups=groups, planned=planned
        ) as provider:
            provider.sign_in_as("alice")
            watched = Watched(browser)
            page = watched.page
            page.goto(server.url + path)
            assert not watched.barriers()
            page.get_by_role("link", name="Sign in with your company's account").click()
            page.wait_for_url(server.url + path)
            assert page.locator("h1").inner_text() == "pets"
            kept = {one["name"]: one for one in watched.context.cookies(server.url)}
            assert "__Host-nmtune-sign-in" not in kept
            assert kept["__Host-nmtune"]["httpOnly"]
            page.goto(f"{server.url}/ui/login")
            assert f"As alice at {planned.issuer}" in page.locator("main").inner_text()
            assert not watched.barriers()
            page.get_by_role("button", name="Sign out").click()
            page.locator("input[name=key]").wait_for()
            watched.context.close()
    assert not watched.complaints

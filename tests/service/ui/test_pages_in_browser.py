"""The pages in a real Chromium: policy, accessibility, keyboard, without JavaScript, offline."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser

from pages.views.report import report_file
from store.store import Store
from tests.pages.reports import HOSTILE, real_report, renamed
from tests.service.in_process import add_job, claim, succeed
from tests.support.chromium import Watched, skip_without_chromium
from tests.support.http import serve

skip_without_chromium()

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def reported(store: Store, trained: bytes) -> str:
    job = claim(store, add_job(store))
    return succeed(store, job, trained, report=json.dumps(real_report()).encode()).id


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["report", "queued job", "failure"])
def test_pages_keep_their_policy_and_have_no_barrier(
    browser: Browser, app: FastAPI, store: Store, reported: str, kind: str, scheme: Any
) -> None:
    path = {
        "report": f"/ui/jobs/{reported}/report",
        "queued job": f"/ui/jobs/{add_job(store)}",
        "failure": "/ui/nothing",
    }[kind]
    with serve(app) as server:
        watched = Watched(browser, color_scheme=scheme)
        watched.page.goto(server.url + path)
        barriers = watched.barriers()
        watched.context.close()
    own = [one for one in watched.complaints if "404 (Not Found)" not in one]
    assert not own
    assert not barriers
    assert all(url.startswith((server.url, "data:")) for url in watched.requests)


def test_a_report_is_read_by_keyboard(browser: Browser, app: FastAPI, reported: str) -> None:
    with serve(app) as server:
        watched = Watched(browser)
        page = watched.page
        page.goto(f"{server.url}/ui/jobs/{reported}/report")
        slider = page.locator("#spectrum input[type=range]")
        slider.focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        assert "rank 2:" in page.locator("#spectrum output").inner_text()
        page.locator("#scores th button").nth(1).focus()
        page.keyboard.press("Enter")
        assert page.locator("#scores th[aria-sort=ascending]").count() == 1
        page.locator("#spectrum nav.tabs a", has_text="OOD hwu").focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**split=ood%2Fhwu**")
        watched.context.close()
    assert not watched.complaints


def test_the_file_works_offline_without_javascript_and_narrow(
    browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(report_file(real_report()).html)
    watched = Watched(
        browser, offline=True, java_script_enabled=False, viewport={"width": 640, "height": 800}
    )
    page = watched.page
    page.goto(file.as_uri())
    assert page.locator("#spectrum .panel:visible").count() == 1
    page.locator("#spectrum label", has_text="OOD hwu").click()
    assert page.locator("#spectrum-3").is_checked()
    assert page.locator("#spectrum .panel:visible").count() == 1
    watched.context.close()
    assert not watched.complaints
    assert [url for url in watched.requests if not url.startswith("data:")] == [file.as_uri()]


def test_a_hostile_file_runs_nothing_and_prints_everything(
    browser: Browser, tmp_path: Path
) -> None:
    report = real_report()
    report = renamed(report, dict(zip(report["dataset"]["classes"], HOSTILE, strict=False)))
    report["verdict"]["summary"] = HOSTILE[0]
    file = tmp_path / "report.html"
    file.write_text(report_file(report).html)
    watched = Watched(browser)
    watched.page.on("dialog", lambda dialog: watched.complaints.append(dialog.message))
    watched.page.goto(file.as_uri())
    watched.page.locator("#class-spectra >> text=SVG").first.wait_for()
    assert not watched.barriers()
    watched.page.emulate_media(media="print")
    assert watched.page.locator("#spectrum .panel:visible").count() == 4
    assert watched.page.locator("#spectrum table:visible").count() == 4
    watched.context.close()
    assert not watched.complaints

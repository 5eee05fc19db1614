"""The pages of a real server with a real worker, acted on in a real Chromium."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from tests.standalone.servers import Start, job_request, status
from tests.support.chromium import PATIENCE, Watched, skip_without_chromium
from tests.support.waiting import wait_until

skip_without_chromium()
expect.set_options(timeout=PATIENCE)

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@dataclass(frozen=True)
class Site:
    """A service with the head `blobs`, whose versions 1 and 2 are published, 2 as `prod`."""

    api: httpx.Client
    ui: str
    dataset_id: str
    job_id: str


@pytest.fixture(scope="module")
def site(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    quick = {"poll_seconds": 0.1, "n_threads": 1, "standby": False}
    server = start("up", "--port", "0", "--data-dir", str(folder), **quick)
    with server.client() as client:
        for _ in range(2):
            body = job_request(epochs=2) | {"alias": "prod", "alias_always": True}
            job = client.post("/jobs", json=body).json()
            wait_until(lambda job=job: status(client, job["id"]) == "succeeded", seconds=240)  # type: ignore[misc]
        yield Site(client, f"{client.base_url}/ui", job["dataset_id"], job["id"])
        server.stop()


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    found = Watched(browser)
    yield found
    found.context.close()
    assert not found.complaints


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_keep_their_policy_and_have_no_barrier(
    browser: Browser, site: Site, scheme: Any
) -> None:
    watched = Watched(browser, color_scheme=scheme)
    barriers = {}
    for path in (
        *("/", "/jobs", f"/jobs/{site.job_id}", "/new", f"/new?dataset_id={site.dataset_id}"),
        *("/heads", "/heads/blobs", "/heads/blobs/compare?from=1&to=2"),
        *("/datasets", f"/datasets/{site.dataset_id}"),
    ):
        watched.page.goto(site.ui + path)
        barriers[path] = watched.barriers()
    own = watched.requests
    watched.context.close()
    assert not any(barriers.values()), barriers
    assert not watched.complaints
    assert all(url.startswith((str(site.api.base_url), "data:")) for url in own)


def test_a_file_becomes_a_dataset_a_job_and_a_head(
    watched: Watched, site: Site, tmp_path: Path
) -> None:
    random = np.random.default_rng(3)
    lines = ["kind,dim_0,dim_1,dim_2"]
    for at in range(90):
        numbers = random.normal(size=3).round(3) + 2 * (at % 3)
        lines.append(f'"class, {at % 3}",' + ",".join(map(str, numbers)))
    file = tmp_path / "three.csv"
    file.write_text("\n".join(lines))
    page = watched.page
    page.goto(f"{site.ui}/new")
    page.set_input_files("#file", file)
    expect(page.locator("[data-found]")).to_contain_text("no column is called label")
    page.get_by_text("Its columns have other names").click()
    page.get_by_label("label", exact=True).fill("kind")
    page.get_by_label("label", exact=True).blur()
    expect(page.locator("[data-found]")).to_contain_text("3 numbered columns, dim_0 to dim_2")
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/ui/new?dataset_id=*")
    expect(page.locator("#plan")).to_contain_text("Candidates")
    page.locator("select[name=method]").select_option("linear_probe")
    page.get_by_role("button", name="Tune").click()
    page.wait_for_url("**/ui/jobs/job_*")
    page.get_by_role("link", name="Read the report").click()
    expect(page.locator("h1")).to_have_text("three@1")
    classes = site.api.get("/heads/three").json()["versions"][0]["classes"]
    assert classes == ["class, 0", "class, 1", "class, 2"]
    assert site.api.get("/uploads").json()["items"] == []


def test_an_alias_moves_goes_back_and_a_version_is_deleted(watched: Watched, site: Site) -> None:
    page = watched.page
    asked: list[str] = []

    def accept(dialog: Any) -> None:
        asked.append(dialog.message)
        dialog.accept()

    page.on("dialog", accept)
    page.goto(f"{site.ui}/heads/blobs/compare?from=2&to=1")
    page.get_by_role("button", name="Promote version 1").click()
    expect(page.locator(".facts span").nth(1)).to_contain_text("prod")
    assert site.api.get("/heads/blobs").json()["aliases"] == {"prod": 1}
    page.goto(f"{site.ui}/heads/blobs")
    expect(page.locator("main")).to_contain_text("before: 2")
    page.get_by_role("button", name="Roll prod back").click()
    expect(page.locator("main .facts")).to_contain_text("prod is version 2")
    page.goto(f"{site.ui}/heads/blobs?version=2")
    page.get_by_role("button", name="Delete version 2").click()
    expect(page.get_by_role("alert")).to_contain_text("prod")
    watched.complaints[:] = [one for one in watched.complaints if "409" not in one]
    page.goto(f"{site.ui}/heads/blobs?version=1")
    page.get_by_role("button", name="Delete version 1").click()
    expect(page.locator("main .facts")).to_contain_text("1 version")
    assert [one["version"] for one in site.api.get("/heads/blobs").json()["versions"]] == [2]
    assert [one for one in asked if "for ever" in one]


def test_rows_are_walked_by_keys_that_can_be_switched_off(watched: Watched, site: Site) -> None:
    page = watched.page
    page.goto(f"{site.ui}/jobs")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ui/jobs/job_*")
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Single keys off").check()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_without_scripts_all_is_read_and_nothing_acted_on(browser: Browser, site: Site) -> None:
    watched = Watched(browser, java_script_enabled=False)
    page = watched.page
    page.goto(f"{site.ui}/jobs")
    page.get_by_role("link", name="succeeded", exact=True).click()
    page.wait_for_url("**status=succeeded")
    page.goto(f"{site.ui}/new?dataset_id={site.dataset_id}")
    page.locator("select[name=method]").select_option("mlp")
    page.get_by_role("button", name="Show the plan").click()
    page.wait_for_url("**method=mlp**")
    expect(page.get_by_role("button", name="Tune")).to_be_disabled()
    watched.context.close()
    assert not watched.complaints


def test_job_shows_its_head_as_soon_as_it_is_published(watched: Watched, site: Site) -> None:
    page = watched.page
    endless_rest = {"seed": 0, "max_steps": 10**9, "epochs": 10_000, "batch_size": 4}
    body = job_request() | {"name": "owls", "method": "auto", "config": endless_rest}
    body |= {"analyses": ["published_loop"]}
    job = site.api.post("/jobs", json=body).json()
    page.goto(f"{site.ui}/jobs/{job['id']}")
    page.evaluate("window.isTheSame = true")
    head = page.get_by_text("owls@1 is published and can predict, while the job goes on.")
    expect(head).to_be_visible()
    assert page.evaluate("window.isTheSame"), "it came without a reload"
    assert site.api.get(f"/jobs/{job['id']}").json()["status"] == "running"
    assert not watched.barriers()
    page.get_by_role("link", name="The report so far").click()
    expect(page.get_by_text("The job is not finished: ").first).to_be_visible()
    assert not watched.barriers()

    site.api.post(f"/jobs/{job['id']}/cancel")
    wait_until(lambda: status(site.api, job["id"]) == "cancelled")
    page.goto(f"{site.ui}/jobs/{job['id']}")
    kept = page.get_by_text("owls@1 is published and stays, but the job was cancelled before")
    expect(kept).to_be_visible()
    assert not watched.barriers()

"""Map, labels, try and drift in a real Chromium: policy, barriers, and use by keyboard."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, expect

from store import datasets
from store.names import DEFAULT_TENANT
from store.store import Store
from tests.service.in_process import publish
from tests.service.job_rows.made_job import MadeJob, add_job_with_rows, made_rows
from tests.service.ui.test_row_routes import add_map
from tests.support.chromium import PATIENCE, Watched, skip_without_chromium
from tests.support.http import serve

skip_without_chromium()

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def made(store: Store, tmp_path: Path, trained: bytes) -> MadeJob:
    """A job whose rows and map are kept, of classes that would do harm."""
    classes = ("<script>alert(1)</script>", "</script><b>", "\N{RIGHT-TO-LEFT OVERRIDE}owl")
    rows = made_rows(classes)
    suggested = (rows.splits["train"].label[rows.suspects.rows] + 1) % len(classes)
    rows = replace(rows, suspects=replace(rows.suspects, suggested=suggested))
    made = add_job_with_rows(store, tmp_path, trained, rows=rows, texts=True)
    add_map(store, made.job.id)
    return made


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["map", "labels", "rows", "try", "drift"])
def test_pages_keep_their_policy_and_have_no_barrier(
    browser: Browser,
    app: FastAPI,
    store: Store,
    made: MadeJob,
    knowing: bytes,
    kind: str,
    scheme: Any,
) -> None:
    publish(store, knowing, alias="prod")
    of = "heads/pets" if kind in {"try", "drift"} else f"jobs/{made.job.id}"
    with serve(app) as server:
        watched = Watched(browser, color_scheme=scheme, viewport={"width": 400, "height": 800})
        watched.page.on("dialog", lambda dialog: watched.complaints.append(dialog.message))
        watched.page.goto(f"{server.url}/ui/{of}/{kind}")
        if kind in {"map", "try"}:
            watched.page.locator("form.act").first.wait_for()
        barriers = watched.barriers()
        is_wide = watched.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        watched.context.close()
    assert not watched.complaints
    assert not barriers
    assert not is_wide
    assert all(url.startswith((server.url, "data:")) for url in watched.requests)


def test_labels_are_corrected_by_keyboard_alone(
    browser: Browser, app: FastAPI, store: Store, made: MadeJob
) -> None:
    with serve(app) as server:
        watched = Watched(browser)
        page = watched.page
        page.goto(f"{server.url}/ui/jobs/{made.job.id}/labels")
        page.locator("[data-card]").wait_for()
        for key in ("s", "x", "u", "k", "j", "x"):
            page.keyboard.press(key)
        page.reload()  # decisions stay in the tab
        told = page.locator("[data-summary]")
        assert told.inner_text() == "Decided: 3. Labels that change: 1. Rows dropped: 1."
        page.get_by_label("Note").focus()
        page.keyboard.type("by keyboard")
        page.keyboard.press("Enter")
        made_link = page.locator("[data-made]")
        made_link.wait_for()
        dataset_id = str(made_link.get_attribute("href")).rpartition("/")[2]
        assert page.evaluate("document.activeElement.hasAttribute('data-made')")
        watched.context.close()
    assert not watched.complaints
    with store.database.read() as tx:
        dataset = datasets.get(tx, DEFAULT_TENANT, dataset_id)
    assert dataset.id != made.job.dataset_id
    assert dataset.n_rows == 129


def test_single_keys_can_be_switched_off(browser: Browser, app: FastAPI, made: MadeJob) -> None:
    with serve(app) as server:
        watched = Watched(browser)
        page = watched.page
        page.goto(f"{server.url}/ui/jobs/{made.job.id}/labels")
        page.locator("[data-card]").wait_for()
        page.keyboard.press("?")
        page.get_by_label("Single keys off").check()
        page.keyboard.press("Escape")
        page.keyboard.press("x")
        assert page.locator("[data-summary]").inner_text().startswith("Decided: 0.")
        watched.context.close()


def test_a_lasso_and_the_arrow_keys_select_rows(
    browser: Browser, app: FastAPI, made: MadeJob
) -> None:
    with serve(app) as server:
        watched = Watched(browser, viewport={"width": 1200, "height": 1000})
        page = watched.page
        page.goto(f"{server.url}/ui/jobs/{made.job.id}/map?colour=error&split=train")
        canvas = page.locator("canvas.points")
        canvas.wait_for()
        box = canvas.bounding_box()
        assert box is not None
        corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.1)]
        for at, (x, y) in enumerate(corners):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=3)
            if at == 0:
                page.mouse.down()
        page.mouse.up()
        count = page.locator("[data-count]")
        assert count.inner_text() == "200 selected"
        page.get_by_role("button", name="Select none").click()
        canvas.focus()
        for key in ("ArrowRight", "Enter", "ArrowUp", "Enter"):
            page.keyboard.press(key)
        assert count.inner_text() == "2 selected"
        page.locator("[data-chosen] tbody tr").nth(1).wait_for()
        assert "sel=" in page.url
        page.reload()
        page.locator("[data-chosen] tbody tr").nth(1).wait_for()
        assert count.inner_text() == "2 selected"
        watched.context.close()


def test_a_vector_and_a_file_are_tried(
    browser: Browser, app: FastAPI, store: Store, knowing: bytes, tmp_path: Path
) -> None:
    publish(store, knowing, alias="prod")
    good, bad = tmp_path / "row.npy", tmp_path / "rows.npy"
    np.save(good, np.array([[0.9, 0.1, 0.2]]))
    np.save(bad, np.ones((2, 3), np.float32))
    with serve(app) as server:
        watched = Watched(browser)
        page = watched.page
        page.goto(f"{server.url}/ui/heads/pets/try")
        page.get_by_label(".npy file with one row").set_input_files(bad)
        assert "rows.npy is not an .npy file with one row" in page.get_by_role("alert").inner_text()
        page.get_by_label(".npy file with one row").set_input_files(good)
        expect(page.locator("textarea")).to_have_value("0.9, 0.1, 0.2", timeout=PATIENCE)
        page.get_by_role("button", name="Predict").click()
        page.locator("[data-answer] tbody tr").nth(1).wait_for()
        answer = page.locator("[data-answer]").inner_text()
        body = str(page.locator("[data-curl]").text_content()).partition("-d ")[2].strip("'")
        watched.context.close()
    assert "with a probability of" in answer
    assert "has not learnt" in answer  # conformal sets and an OOD score, for want of rows
    assert "Answered by version 1." in answer
    assert json.loads(body)["embeddings"] == [[0.9, 0.1, 0.2]]


def test_a_job_of_unknown_settings_leads_to_a_new_one(
    browser: Browser, app: FastAPI, store: Store, tmp_path: Path, trained: bytes
) -> None:
    made = add_job_with_rows(store, tmp_path, trained)
    with serve(app) as server:
        watched = Watched(browser)
        page = watched.page
        page.goto(f"{server.url}/ui/jobs/{made.job.id}/labels")
        page.locator("[data-card]").wait_for()
        page.keyboard.press("x")
        page.get_by_role("button", name="Save as a new dataset").click()
        link = page.get_by_role("link", name="Train with other settings")
        link.wait_for()
        assert "dataset_id=ds_" in str(link.get_attribute("href"))
        assert page.get_by_role("button", name="Retrain on it").count() == 0
        watched.context.close()

"""The page of a map: its sentence, its table, its drawing without JavaScript."""

from typing import Any

import numpy as np
import pytest

from pages.views.map import map_page
from pages.views.shell import Place
from service.ui.maps import found_in
from store.files.job_map import JobMap, quantised
from tests.pages.reports import HOSTILE, Page
from tests.pages.values import a_job, harmless

PLACE = Place(root="../../../")


def a_map(n_points: int = 200, n_classes: int = 3, **about: Any) -> JobMap:
    """Points by chance, of which every tenth has no prediction and every seventh is suspected."""
    random = np.random.default_rng(0)
    label = np.arange(n_points) % n_classes
    predicted = np.where(random.random(n_points) < 0.2, 0, label).astype(np.uint16)
    predicted[::10] = np.iinfo(np.uint16).max
    plane = quantised(random.normal(size=(n_points, 2)))
    return JobMap(
        columns={
            "split": np.zeros(n_points, np.uint8),
            "row": np.arange(n_points, dtype=np.uint32),
            "label": label.astype(np.uint16),
            "predicted": predicted,
            "label_probability": np.zeros(n_points, np.uint16),
            "ood_score": random.random(n_points).astype(np.float32),
            "suspected": (np.arange(n_points) % 7 == 0).astype(np.uint8),
            "pca_raw": plane,
            "pca_tuned": plane,
        },
        about={
            "classes": [f"class {at}" for at in range(n_classes)],
            "splits": ["train", "ood/<b>"],
            "n_rows": {"train": n_points, "ood/<b>": 12},
            "explained_variance": {"raw": [0.1, 0.05], "tuned": [0.2, 0.1]},
            "ood_threshold": 0.9,
            "tsne": "drawn",
            "tsne_seconds": 60.0,
        }
        | about,
    )


def page_of(shown: JobMap, **asked: Any) -> Page:
    return harmless(map_page(a_job(), found_in(shown), PLACE, asked=asked))


def test_it_says_what_it_shows_and_what_it_cannot() -> None:
    text = page_of(a_map()).text
    assert "200 of 212 rows" in text
    assert "errors and suspects come first" in text
    assert "30.0 % of the tuned embeddings' variance" in text
    assert "how far groups lie apart" in text


def test_a_row_without_a_prediction_is_no_error() -> None:
    shown = a_map()
    columns = shown.columns
    known = columns["predicted"] != np.iinfo(np.uint16).max
    n_errors = int((known & (columns["predicted"] != columns["label"])).sum())
    assert sum(one["n_errors"] for one in found_in(shown)["by_class"]) == n_errors
    assert f"{n_errors} that the head gets wrong" in page_of(shown).text


@pytest.mark.parametrize(
    ("tsne", "told"),
    [
        ("pending", "t-SNE is still being drawn"),
        ("Not drawn: there are too few rows.", "Not drawn: there are too few rows."),
        ("drawn", "Point at a row"),
    ],
    ids=["pending", "not drawn", "drawn"],
)
def test_it_says_why_there_is_no_t_sne(tsne: str, told: str) -> None:
    assert told in page_of(a_map(tsne=tsne)).text


def test_the_address_is_the_state() -> None:
    asked = {"view": "pca_raw", "colour": "error", "split": "train", "only": "1", "ood": "0.5"}
    page = page_of(a_map(), **asked, **{"class": ["", "1"], "sel": "a.1f"})
    chosen = {one["value"] for one in page.named("option") if "selected" in one}
    assert {"pca_raw", "error", "train"} <= chosen
    boxes = [one for one in page.named("input") if one.get("type") == "checkbox"]
    assert [one["value"] for one in boxes if "checked" in one] == ["1", "1"]
    assert page.named("main")[0]["data-selected"] == "a.1f"


@pytest.mark.parametrize("asked", [{"view": "<b>"}, {"colour": "<b>"}, {"ood": '"><img>'}])
def test_a_state_that_there_is_not_is_the_usual_one(asked: dict[str, str]) -> None:
    page = page_of(a_map(), **asked)
    assert "pca_tuned" in {one["value"] for one in page.named("option") if "selected" in one}


def test_the_drawing_and_a_thousand_classes_stay_small() -> None:
    shown = a_map(n_points=10_000, n_classes=1000)
    html = map_page(a_job(), found_in(shown), PLACE, asked={})
    page = Page(html)
    assert len(page.named("circle")) <= 1000
    assert len([one for one in page.named("input") if one.get("name") == "class"]) == 1001
    assert len(html.encode()) < 700_000


def test_a_head_without_ood_scores_has_no_histogram() -> None:
    shown = a_map(ood_threshold=None)
    shown = JobMap(
        columns=dict(shown.columns) | {"ood_score": np.full(200, np.nan, np.float32)},
        about=shown.about,
    )
    page = page_of(shown)
    assert len(page.named("canvas")) == 1
    assert "OOD score from" not in page.text


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_classes_are_hostile_until_escaped(hostile: str) -> None:
    shown = a_map(classes=[hostile, "b", "c"], splits=[hostile], tsne=hostile)
    page = page_of(shown, split=hostile, sel=hostile)
    assert len([one for one in page.named("input") if one.get("name") == "class"]) == 4

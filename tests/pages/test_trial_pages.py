"""The pages of a head at work: try it, and its drift by the hour."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pages.views.drift import drift_page, psi_by_hour
from pages.views.shell import Place
from pages.views.trial import try_page
from service.heads.drift_schemas import HeadDrift
from tests.pages.reports import HOSTILE
from tests.pages.values import a_head, harmless
from tests.service.in_process import example

PLACE = Place(root="../../../")
START = datetime(2026, 11, 25, 4, tzinfo=UTC)


def a_window(hour: int, n_rows: int = 400, **changes: Any) -> dict[str, Any]:
    enough = n_rows >= 200
    window = {
        "started_at": (START + timedelta(hours=hour)).isoformat(),
        "state": "some" if enough else "not_enough_rows",
        "n_rows": n_rows,
        "mean_shift": 0.04 if enough else None,
        "spread_ratio": 1.01 if enough else None,
        "norm_psi": 0.02 * hour if enough else None,
        "class_psi": 0.1 if enough else None,
    }
    return window | changes


def a_drift(*windows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    drift: dict[str, Any] = example(HeadDrift)
    return drift | {"windows": list(windows)} | changes


def test_drift_is_said_drawn_and_told_by_the_hour() -> None:
    drift = a_drift(a_window(0), a_window(1, 30), a_window(26, 900))
    page = harmless(drift_page(drift, PLACE))
    assert drift["sentence"] in page.text
    assert "some drift" in page.text
    assert "1,330 rows in 3 hours with rows; most, 900, from 2026-11-26 06:00 UTC." in page.text
    assert "too few rows" in page.text
    assert len(page.named("svg")) == 2
    assert len(page.named("rect")) == 3
    assert "17" in page.text  # the column that moved most


def test_an_hour_with_few_rows_is_not_compared() -> None:
    figure = psi_by_hour([a_window(0, 10), a_window(1, 3)])
    assert "No hour has enough rows" in figure.sentence
    assert not figure.panels


def test_one_hour_is_drawn_too() -> None:
    assert len(harmless(drift_page(a_drift(a_window(3)), PLACE)).named("svg")) == 2


@pytest.mark.parametrize(("is_recording", "told"), [(True, "one by one"), (False, "NMTUNE_DRIFT")])
def test_no_rows_says_what_will_stand_here(is_recording: bool, told: str) -> None:
    drift = a_drift(n_rows=0, state="not_enough_rows", is_recording=is_recording, columns=[])
    page = harmless(drift_page(drift | {"norm_psi": None}, PLACE, asked="prod"))
    assert told in page.text
    assert not page.named("svg")
    assert "prod" in {one.get("value") for one in page.named("input")}


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_what_was_asked_is_hostile_until_escaped(hostile: str) -> None:
    harmless(
        drift_page(a_drift(a_window(0), state=hostile, sentence=hostile), PLACE, asked=hostile)
    )


def test_a_head_is_tried_with_its_prod_version_first() -> None:
    page = harmless(try_page(a_head(3, prod=2), PLACE))
    options = page.named("option")
    assert len(options) == 4 + 3  # versions, alias; levels of the set
    assert "pets@prod" in page.text
    assert "Embedding: 768 numbers" in page.text or "numbers, or drop an .npy file" in page.text


@pytest.mark.parametrize(
    ("chosen", "told"), [("1", "pets@1"), ("nobody", "pets@3"), (None, "pets@3")]
)
def test_another_version_can_be_asked_for(chosen: str | None, told: str) -> None:
    assert told in harmless(try_page(a_head(3), PLACE, chosen=chosen)).text


def test_a_head_with_an_encoder_takes_a_text() -> None:
    head = a_head(1)
    head["versions"][0]["encoder"] = {"provider": "openai", "model": HOSTILE[0]}
    page = harmless(try_page(head, PLACE))
    assert page.named("textarea")[0]["name"] == "text"
    assert not [one for one in page.named("input") if one.get("type") == "file"]
    assert "texts=" in page.text

"""The list of heads, a head's page and a comparison, out of what the API answers."""

from typing import Any

import pytest

from pages.views.compare import compare_page
from pages.views.head import NoVersionError, head_page
from pages.views.heads import heads_page
from pages.views.shell import Place
from tests.pages.reports import HOSTILE, Page
from tests.pages.values import a_head, harmless

PLACE = Place(root="../../")
ALIASES: list[dict[str, Any]] = [
    {
        "alias": "prod",
        "version": 2,
        "set_at": "2026-11-26T08:12:44Z",
        "history": [{"version": 1, "set_at": "2026-11-24T03:22:10Z"}],
    }
]
COMPARED: dict[str, Any] = {
    "from": {"name": "pets", "version": 2, "method": "nmtune", "aliases": ["prod"]},
    "to": {"name": "pets", "version": 3, "method": "auto", "aliases": []},
    "verdict": "No clear difference.",
    "paired": False,
    "note": "Not paired.",
    "splits": [
        {
            "split": "test",
            "n_rows_from": 100,
            "n_rows_to": 100,
            "same_rows": True,
            "metrics": {
                "accuracy": {"from": 0.8, "to": 0.9, "difference": 0.1, "interval": [0.02, 0.18]},
                "log_loss": {"from": 0.5, "to": None, "difference": None, "interval": None},
            },
        }
    ],
    "config": {"epochs": {"from": 10, "to": None}},
    "classes": {"added": [], "removed": [], "reordered": False},
    "lineage": {},
}


def test_versions_stand_beside_each_other_with_what_they_gain_on_the_live_one() -> None:
    page = harmless(head_page(a_head(3, prod=2), ALIASES, PLACE))
    assert "83.0 % +1.0" in page.text
    assert "67.0 % \N{MINUS SIGN}1.0" in page.text
    assert "before: 1 (since 2026-11-24 03:22 UTC)" in page.text
    radios = [one for one in page.named("input") if one.get("type") == "radio" and "checked" in one]
    assert [(one["name"], one["value"]) for one in radios] == [("to", "3"), ("from", "2")]


def test_a_head_without_aliases_and_with_one_version_offers_what_it_can() -> None:
    page = harmless(head_page(a_head(1), [], PLACE))
    assert "No alias names a version of it." in page.text
    assert not [one for one in page.named("input") if one.get("type") == "radio"]


def test_the_version_asked_for_is_looked_at_and_another_is_told_of() -> None:
    page = Page(head_page(a_head(3, prod=2), ALIASES, PLACE, version=1))
    assert "Delete version 1" in page.text
    with pytest.raises(NoVersionError, match="It has 3, 2 and 1"):
        head_page(a_head(3), [], PLACE, version=7)


def test_a_version_of_an_older_release_shows_what_it_has() -> None:
    head = a_head(1)
    lineage = {"job_id": "job_1", "dataset_id": "ds_1", "machine": {}}
    head["versions"][0] |= {"metrics": {}, "lineage": lineage, "encoder": None, "tags": {}}
    assert "embeddings of 768 columns" in Page(head_page(head, [], PLACE)).text


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_notes_and_classes_are_hostile_until_escaped(hostile: str) -> None:
    head = a_head(2, prod=1)
    for version in head["versions"]:
        version |= {"description": hostile, "tags": {"a": hostile}, "classes": [hostile]}
        version["metrics"][f"ood/{hostile}"] = {"accuracy": 0.5}
        version["encoder"] = {"provider": hostile, "model": hostile}
    harmless(head_page(head, ALIASES, PLACE))
    compared = COMPARED | {
        "verdict": hostile,
        "note": hostile,
        "splits": [COMPARED["splits"][0] | {"split": f"ood/{hostile}"}],
        "config": {hostile: {"from": hostile, "to": 1}},
        "classes": {"added": [hostile], "removed": [hostile], "reordered": True},
    }
    harmless(compare_page(compared, PLACE))


def test_the_list_shows_the_live_version_else_the_latest() -> None:
    found = {"items": [a_head(3, prod=2), a_head(3)], "next_cursor": None}
    page = harmless(heads_page(found, PLACE, is_first=True))
    assert "prod: 2" in page.text
    assert "latest: 3" in page.text
    assert "82.0 %" in page.text
    empty = Page(heads_page({"items": [], "next_cursor": None}, PLACE, is_first=True))
    assert "Heads will stand here" in empty.text


def test_a_comparison_says_the_verdict_and_draws_each_split() -> None:
    page = harmless(compare_page(COMPARED, PLACE))
    assert page.text.index("No clear difference.") < page.text.index("pets@3 against pets@2")
    assert "+10.0 gain" in page.text
    assert "rows gained" not in page.text
    promote = next(one for one in page.named("form") if one.get("data-send") == "PUT")
    assert str(promote["action"]).endswith("heads/pets/aliases/{alias}")


@pytest.mark.parametrize("where", ["split", "within"])
def test_a_paired_comparison_counts_the_rows_gained_and_lost(where: str) -> None:
    pairs = {"n_gained": 12, "n_lost": 3, "p_value": 0.035, "interval": [0.01, 0.2]}
    split = COMPARED["splits"][0] | (pairs if where == "split" else {"paired": pairs})
    page = Page(compare_page(COMPARED | {"paired": True, "splits": [split]}, PLACE))
    assert "rows gained" in page.text
    assert "0.035" in page.text
    assert "Not paired." not in page.text


def test_versions_without_a_common_split_are_still_a_page() -> None:
    page = Page(compare_page(COMPARED | {"splits": []}, PLACE))
    assert "No clear difference." in page.text
    assert not page.named("svg")

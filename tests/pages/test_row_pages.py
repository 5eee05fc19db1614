"""The rows behind the numbers, and the suspected labels among them, as pages."""

import json
from typing import Any

import pytest

from pages.views.labels import labels_page
from pages.views.report import report_file, report_page
from pages.views.rows import rows_page
from pages.views.shell import Place
from tests.pages.reports import HOSTILE, Page, real_report
from tests.pages.values import a_job, harmless

PLACE = Place(root="../../../")


def a_row(**changes: Any) -> dict[str, Any]:
    """A suspected row with one neighbour."""
    row = {
        "split": "train",
        "row": 41,
        "file_row": 1422,
        "id": "q-41",
        "text": "where is my parcel?",
        "label": "cat",
        "predicted": "dog",
        "label_probability": 0.02,
        "predicted_probability": 0.93,
        "ood_score": 1.25,
        "set_size": 2,
        "suggested": "dog",
        "neighbours": [
            {"row": 3, "file_row": 4, "id": None, "text": None, "label": "dog", "similarity": 0.9}
        ],
    }
    return row | changes


def listed(*rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "items": list(rows),
        "n_matching": len(rows),
        "notes": [],
        "next_cursor": None,
    } | changes


def test_rows_are_named_as_in_the_file_that_was_sent() -> None:
    page = Page(rows_page(a_job(), listed(a_row()), PLACE, {}))
    for told in ("1,422", "q-41", "where is my parcel?", "2.0 %", "93.0 %", "1.25"):
        assert told.replace(" ", "\N{NO-BREAK SPACE}") in page.text or told in page.text
    assert page.text.count("its probability") == 2


def test_columns_that_no_row_has_are_left_out() -> None:
    without = a_row(id=None, text=None, ood_score=None, suggested=None)
    text = Page(rows_page(a_job(), listed(without), PLACE, {})).text
    assert "set size" in text
    assert not [name for name in ("OOD score", "suggested") if f" {name} " in text]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "1 row."),
        ({"only": "errors", "split": "ood/hwu"}, "of OOD hwu that the published head gets wrong."),
        (
            {"only": "gained", "candidate": "nmtune", "against": "mlp"},
            "that NMTune gets right and the matched MLP gets wrong.",
        ),
        ({"label": "cat", "predicted": "dog"}, "with the label cat taken for dog."),
    ],
    ids=["all", "errors", "gained", "taken for"],
)
def test_the_sentence_says_which_rows(asked: dict[str, str], told: str) -> None:
    assert told in Page(rows_page(a_job(), listed(a_row()), PLACE, asked)).text


def test_the_next_page_keeps_the_filters() -> None:
    asked = {"only": "errors", "label": "a&b=c", "split": ""}
    page = Page(rows_page(a_job(), listed(a_row(), next_cursor="n_1"), PLACE, asked))
    (following,) = [one["href"] for one in page.named("a") if one.get("rel") == "next"]
    assert following == "rows?label=a%26b%3Dc&only=errors&cursor=n_1"


def test_nothing_found_says_so() -> None:
    assert "No row matches." in Page(rows_page(a_job(), listed(), PLACE, {"label": "cat"})).text


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_texts_ids_and_labels_are_hostile_until_escaped(hostile: str) -> None:
    row = a_row(text=hostile, id=hostile, label=hostile, suggested=hostile, predicted=hostile)
    row["neighbours"][0] |= {"label": hostile, "text": hostile}
    found = listed(row, notes=[hostile], next_cursor="c")
    harmless(rows_page(a_job(name=hostile), found, PLACE, {"label": hostile, "only": hostile}))
    html = labels_page(a_job(name=hostile), found, PLACE, again={})
    harmless(html)
    data = html.partition('<script type="application/json">')[2].partition("</script>")[0]
    assert "<" not in data
    assert json.loads(data)[0]["text"] == hostile


def test_suspects_are_read_without_javascript() -> None:
    page = Page(labels_page(a_job(), listed(a_row(), a_row(row=42)), PLACE))
    assert "2 training rows have labels that held-out predictions speak against" in page.text
    assert "dog ×1" in page.text
    assert page.text.count("where is my parcel?") == 2


def test_a_suggestion_that_is_not_predicted_has_no_probability() -> None:
    page = labels_page(a_job(), listed(a_row(suggested="owl")), PLACE)
    assert "93.0" not in Page(page).text


def test_no_suspects_says_what_would_find_them() -> None:
    page = Page(labels_page(a_job(), listed(), PLACE))
    assert "No label is suspected" in page.text
    assert not page.named("table")


def test_the_retraining_asks_for_what_the_job_did() -> None:
    encoder = {"provider": "openai", "model": "small", "base_url": None, "dimensions": 256}
    job = a_job(encoder=encoder, method="auto", config={"analyses": ["ablation"]})
    page = Page(labels_page(job, listed(a_row()), PLACE, again={"seed": 3}))
    (review,) = [one for one in page.named("div") if "data-review" in one]
    assert json.loads(str(review["data-again"])) == {
        "name": "pets",
        "method": "auto",
        "queue": "cpu",
        "config": {"seed": 3},
        "analyses": ["ablation"],
        "provider": {"name": "openai", "model": "small", "dimensions": 256},
    }


def test_numbers_of_the_report_lead_to_their_rows() -> None:
    page = Page(report_page(real_report(), PLACE, candidate="mlp").html)
    links = {str(one["href"]) for one in page.named("a") if str(one["href"]).startswith("rows?")}
    split = "split=test"
    cell = f"rows?{split}&label=list_query&predicted=list_update&candidate=mlp"
    assert cell in links
    assert f"rows?{split}&label=list_query&candidate=mlp" in links
    assert f"rows?only=gained&{split}&against=linear_probe" in links  # auto is the published one
    assert f"rows?only=lost&{split}&candidate=nmtune&against=mlp" in links


def test_a_file_has_no_links_to_rows() -> None:
    links = Page(report_file(real_report()).html).named("a")
    assert all(str(one["href"]).startswith(("#", "data:")) for one in links)

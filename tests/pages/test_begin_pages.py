"""Home, datasets and new jobs, out of what the API answers; and how large the pages' files are."""

import gzip
import re
import shlex
from importlib.resources import files

import pytest

from pages.assets import asset
from pages.views.datasets import dataset_page, datasets_page
from pages.views.home import home_page
from pages.views.new import begin_page, new_page
from pages.views.shell import Place
from tests.pages.reports import HOSTILE, Page
from tests.pages.values import a_dataset, a_head, a_job, a_plan, harmless

PLACE = Place(root="../")
NONE = {"items": [], "next_cursor": None}
FINE = {"database": {"status": "ok", "message": None}}
STATIC = {file.name: file.read_text() for file in (files("pages") / "static").iterdir()}


def test_home_shows_what_runs_what_is_live_and_what_is_wrong() -> None:
    checks = FINE | {"broker": {"status": "warning", "message": "It does not answer."}}
    heads = {"items": [a_head(3, prod=2)], "next_cursor": "x"}
    recent = [a_job(), a_job(status="failed", error={"message": "Too few rows."})]
    page = harmless(home_page(checks, [a_job()], recent, heads, PLACE))
    assert "It does not answer." in page.text
    assert "database" not in page.text
    assert len(page.named("progress")) == 1
    assert "Too few rows." in page.text
    assert "prod: 2" in page.text


def test_an_empty_service_says_how_to_begin() -> None:
    page = harmless(home_page(FINE, [], [], NONE, PLACE))
    assert "Nothing is here yet." in page.text
    assert "nmtune tune FILE" in page.text
    assert page.named("noscript")
    assert "Without JavaScript" in page.text


def test_a_dataset_is_told_in_words_and_counted_by_class_and_split() -> None:
    page = harmless(dataset_page(a_dataset(), PLACE))
    assert "There is no out-of-domain split" in page.text
    assert "an effective rank of 2.40 of 3." in page.text
    assert [one["class"] for one in page.named("td") if one.get("class", "")] == ["h6"] * 4
    assert [one for one in page.named("form") if one.get("data-send") == "DELETE"]


def test_a_corrected_dataset_names_its_parent() -> None:
    lineage = {"n_relabelled": 3, "changed_splits": ["train", HOSTILE[1]], "note": HOSTILE[0]}
    page = harmless(dataset_page(a_dataset(parent_id="ds_parent", lineage=lineage), PLACE))
    assert "../ui/datasets/ds_parent" in {one["href"] for one in page.named("a")}
    assert "relabelled 3" in page.text


def test_unlabelled_rows_are_for_predicting() -> None:
    split = {"name": "unlabelled", "n_rows": 6, "class_counts": {}}
    dataset = a_dataset(classes=[], splits=[split], profile={}, warnings=[])
    assert "no head can be trained on them" in Page(dataset_page(dataset, PLACE)).text
    found = {"items": [dataset], "next_cursor": None}
    assert "pets" in Page(datasets_page(found, PLACE, is_first=True)).text
    assert "No labelled dataset" in Page(begin_page(found, PLACE, is_first=True)).text


def test_a_thousand_classes_are_a_page() -> None:
    names = [f"c{at}" for at in range(1200)]
    split = {"name": "train", "n_rows": 1200, "class_counts": dict.fromkeys(names, 1)}
    page = Page(dataset_page(a_dataset(classes=names, splits=[split]), PLACE))
    assert "200 more classes are in the JSON." in page.text


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_classes_domains_and_warnings_are_hostile_until_escaped(hostile: str) -> None:
    split = {"name": f"ood/{hostile}", "n_rows": 4, "class_counts": {hostile: 4}}
    warning = {"code": "x", "message": hostile, "split": hostile}
    dataset = a_dataset(classes=[hostile], splits=[split], warnings=[warning])
    harmless(dataset_page(dataset, PLACE))
    wanted = {"name": "pets", "dataset_id": "ds_1", "method": "auto", "config": {"preset": hostile}}
    plan = a_plan(splits=[split])
    harmless(new_page(dataset, wanted, plan, PLACE, origin="http://localhost"))
    harmless(new_page(dataset, wanted, None, PLACE, refusal=hostile, origin="http://localhost"))


def test_a_new_job_shows_its_plan_and_the_same_by_other_means() -> None:
    wanted = {
        "name": "pets",
        "dataset_id": "ds_1",
        "method": "nmtune",
        "alias": "prod",
        "analyses": ["ablation"],
        "config": {"preset": "paper", "epochs": 5, "note": "it's"},
    }
    page = harmless(new_page(a_dataset(), wanted, a_plan(), PLACE, origin="http://localhost"))
    assert "at the pace of 3 earlier jobs" in page.text
    assert "503.3 MB" in page.text
    command = re.search(r"nmtune tune .*?(?= Python)", page.text)
    assert command is not None
    words = shlex.split(command[0])
    assert words[words.index("--analyse") + 1] == "ablation"
    assert "epochs=5" in words
    assert "note=it's" in words
    chosen = [one["value"] for one in page.named("option") if "selected" in one]
    assert chosen == ["nmtune"]


def test_a_plan_that_is_refused_says_why_and_keeps_the_form() -> None:
    wanted = {"name": "pets", "dataset_id": "ds_1", "method": "auto"}
    dataset = a_dataset(content="texts", n_columns=0)
    refusal = "Name a provider."
    page = Page(new_page(dataset, wanted, None, PLACE, refusal=refusal, origin="http://localhost"))
    assert refusal in page.text
    assert [one for one in page.named("input") if one.get("name") == "provider.name"]


def test_scripts_and_styles_are_small() -> None:
    scripts = {name: text for name, text in STATIC.items() if name.endswith(".js")}
    served = b"\n".join(asset(name).content for name in sorted(scripts))
    assert len(gzip.compress(served, 9)) <= 15_000
    assert sum(text.count("\n") for text in scripts.values()) <= 1200
    assert len(STATIC["page.css"].encode()) <= 12_000
    assert sum(len(STATIC[name].encode()) for name in STATIC if name.endswith(".css")) <= 20_000


@pytest.mark.parametrize("name", sorted(name for name in STATIC if name.endswith(".js")))
def test_scripts_write_text_and_no_markup(name: str) -> None:
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert forbidden not in STATIC[name]
    assert not re.search(r"\.style\b|\bon[a-z]+=|new Function", STATIC[name])


def test_templates_have_nothing_inline() -> None:
    for file in (files("pages") / "templates").iterdir():
        text = file.read_text()
        assert not re.search(r"\sstyle=|\son[a-z]+=", text), file.name
        assert "javascript:" not in text

"""The report page and the one-file report, out of the report of a real job."""

import csv
import io
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from pages.figures import spectrum
from pages.reading import Absent
from pages.views.report import FIGURES, UnknownError, figure_csv, figure_svg, report_file
from pages.views.report import report_page as page_of
from pages.views.shell import Place
from tests.pages.reports import HOSTILE, Page, compared, real_report, renamed, with_encoders

PLACE = Place(root="../../../")


def report_page(report: dict[str, Any], **arguments: Any) -> str:
    rendered = page_of(report, PLACE, **arguments)
    html = rendered.html
    assert not rendered.broken
    return html


def test_every_figure_is_there_sentence_first() -> None:
    page = Page(report_page(with_encoders(compared("a/small"), compared("b/large"))))
    ids = [attributes["id"] for attributes in page.named("section")]
    assert ids == list(FIGURES)
    assert "absent" not in {attributes.get("class") for attributes in page.named("p")}
    assert page.text.index(real_report()["verdict"]["summary"]) < page.text.index("ID accuracy")


def test_page_and_file_are_small() -> None:
    assert len(report_page(real_report()).encode()) < 160_000
    assert len(report_file(real_report()).html.encode()) < 400_000


def test_a_browser_can_begin_before_figures_are_drawn_and_one_split_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[str] = []
    plot = spectrum._plot
    monkeypatch.setattr(
        spectrum, "_plot", lambda split, shares: drawn.append(split) or plot(split, shares)
    )
    rendered = page_of(real_report(), PLACE, split="ood/hwu")
    assert "stylesheet" in next(rendered.parts)
    assert not drawn
    assert "Provenance" in rendered.html
    assert drawn == ["ood/hwu"]


@pytest.mark.parametrize("form", ["page", "file"])
def test_html_is_well_formed_and_its_ids_are_unique(form: str) -> None:
    report = real_report()
    page = Page(report_page(report) if form == "page" else report_file(report).html)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    fragments = {one["href"] for one in page.named("a") if str(one["href"]).startswith("#")}
    assert fragments <= {f"#{one}" for one in ids}


@pytest.mark.parametrize("form", ["page", "file"])
def test_nothing_is_inline_that_a_strict_policy_forbids(form: str) -> None:
    report = real_report()
    page = Page(report_page(report) if form == "page" else report_file(report).html)
    for tag, attributes in page.tags:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        address = str(attributes.get("src") or attributes.get("href") or "")
        assert not re.match(r"[a-z]+://|//|javascript:", address), address


def test_the_numbers_are_the_reports() -> None:
    report = real_report()
    rows = list(csv.DictReader(io.StringIO(figure_csv(report, "per-class", "mlp"))))
    of_test = {row["class"]: row for row in rows if row["panel"] == "test"}
    for one in report["candidates"]["mlp"]["metrics"]["test"]["per_class"]:
        assert float(of_test[one["name"]]["F1"]) == one["f1"]
    rows = list(csv.DictReader(io.StringIO(figure_csv(report, "comparison", None))))
    shown = [one for one in report["comparison"] if "without" not in one["baseline"]]
    assert [float(row["difference"]) for row in rows] == [
        one["accuracy_difference"] for one in shown
    ]


def test_coverage_is_worked_out_of_the_reliability_bins() -> None:
    report = real_report()
    rows = list(csv.DictReader(io.StringIO(figure_csv(report, "coverage", None))))
    first = next(row for row in rows if row["panel"] == "test")
    metrics = report["candidates"]["auto"]["metrics"]["test"]
    assert float(first["answered"]) == 1
    assert int(first["rows answered"]) == metrics["n_rows"]
    assert float(first["accuracy of the answered"]) == pytest.approx(metrics["accuracy"])


def test_each_picture_is_xml_of_its_own() -> None:
    report = real_report()
    drawn = set()
    for key in FIGURES:
        number = 1
        while True:
            try:
                root = ET.fromstring(figure_svg(report, key, number, None))  # noqa: S314  ours
            except (Absent, UnknownError):
                break
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            assert root.attrib["aria-label"]
            assert "var(" not in ET.tostring(root, encoding="unicode")
            drawn.add(key)
            number += 1
    assert {"comparison", "spectrum", "confusion", "reliability", "history"} <= drawn


def test_page_shows_the_split_and_candidate_that_are_asked_for() -> None:
    page = Page(report_page(real_report(), split="ood/hwu", candidate="mlp"))
    chosen = [one for one in page.named("a") if one.get("aria-current") == "true"]
    assert chosen
    assert all("split=ood%2Fhwu" in str(one["href"]) for one in chosen)
    assert "matched MLP is weakest on" in page.text


def test_a_candidate_that_is_not_the_published_one_can_be_published() -> None:
    report = real_report() | {"job_id": "job_1"}
    acts = Page(report_page(report, candidate="mlp")).named("form")
    assert "../../../jobs/job_1/publish" in {one.get("action") for one in acts}
    for page in (report_page(report), report_file(report).html):
        assert "jobs/job_1/publish" not in page


def test_the_file_of_another_candidates_head_is_about_that_head() -> None:
    report = real_report() | {"head": "pets@2", "candidate": "mlp"}
    page = Page(report_file(report).html)
    assert "another candidate of the job: the matched MLP. The job itself published" in page.text
    assert "matched MLP is weakest on" in page.text
    tiles = page.text[page.text.index("ID accuracy") :][:60]
    accuracy = report["candidates"]["mlp"]["metrics"]["test"]["accuracy"]
    assert f"{100 * accuracy:.1f}" in tiles
    assert "another candidate" not in Page(report_file(real_report()).html).text


@pytest.mark.parametrize("arguments", [{"split": "nowhere"}, {"candidate": "nobody"}])
def test_what_is_not_there_is_answered_with_what_is(arguments: dict[str, str]) -> None:
    with pytest.raises(UnknownError, match=r"It has .*(test|auto).* and "):
        report_page(real_report(), **arguments)


@pytest.mark.parametrize("form", ["page", "file"])
def test_class_names_are_hostile_until_escaped(form: str) -> None:
    report = real_report()
    classes = report["dataset"]["classes"]
    report = renamed(report, dict(zip(classes, HOSTILE, strict=False)))
    report["name"] = report["dataset"]["name"] = HOSTILE[1]
    report["verdict"]["summary"] = HOSTILE[0]
    report["warnings"] = [HOSTILE[0], {"message": HOSTILE[3]}]
    plain = Page(report_page(real_report()) if form == "page" else report_file(real_report()).html)
    html = report_page(report) if form == "page" else report_file(report).html
    page = Page(html)
    assert not page.named("img")
    assert len(page.named("script")) == len(plain.named("script"))
    assert not page.named("b") or len(page.named("b")) == len(plain.named("b"))
    assert "\x00" not in html
    assert "{{ 7 * 7 }}" in page.text
    for key in ("per-class", "confusion", "class-spectra"):
        ET.fromstring(figure_svg(report, key, 1, None))  # noqa: S314  ours


def test_a_spreadsheet_takes_no_class_name_for_a_formula() -> None:
    report = real_report()
    report = renamed(report, {report["dataset"]["classes"][0]: "=HYPERLINK(1)"})
    assert "'=HYPERLINK(1)" in figure_csv(report, "per-class", None)


@pytest.mark.parametrize(
    "key",
    ["findings", "comparison", "spectra", "calibration", "abstention", "choice", "environment"],
)
def test_a_report_that_lacks_a_part_shows_the_others(key: str) -> None:
    report = real_report()
    del report[key]
    assert real_report()["verdict"]["summary"] in Page(report_page(report)).text
    assert len(Page(report_file(report).html).named("section")) == len(FIGURES)


def test_a_report_of_nearly_nothing_is_still_a_page() -> None:
    page = Page(report_page({"version": 1}))
    assert len(page.named("section")) == len(FIGURES)
    assert "The report has no verdict." in page.text


@pytest.mark.parametrize(
    ("key", "broken"),
    [
        ("spectra", {"raw": {"test": {"singular_values": "none"}}, "tuned": {"test": {}}}),
        ("comparison", [{"candidate": "auto"}]),
        ("findings", {"trust": {"ood": {"splits": {"test": 3}}}, "label_errors": [1]}),
    ],
)
def test_a_broken_figure_says_so_and_takes_nothing_with_it(key: str, broken: Any) -> None:
    rendered = page_of(real_report() | {key: broken}, PLACE)
    page = Page(rendered.html)
    assert rendered.broken
    assert "This figure could not be drawn" in page.text
    assert real_report()["verdict"]["summary"] in page.text


def test_many_classes_are_listed_instead_of_drawn() -> None:
    report = real_report()
    metrics = report["candidates"]["auto"]["metrics"]["test"]
    metrics["per_class"] = [metrics["per_class"][0] | {"name": f"c{at}"} for at in range(300)]
    del metrics["confusion_matrix"]
    page = Page(report_page(report))
    assert "the most frequent mistakes" in page.text
    assert "c299" in page.text


def test_ood_scores_are_drawn_as_histograms_where_the_report_has_them() -> None:
    report = real_report()
    assert "the last bin holds all above" in report_page(report)
    ood = report["findings"]["trust"]["ood"]
    del ood["edges"]
    for one in ood["splits"].values():
        del one["counts"]
    assert "the last bin holds all above" not in report_page(report)

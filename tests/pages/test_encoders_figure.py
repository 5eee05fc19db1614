"""The figure of compared encoders: ranks, costs, latencies, and who dropped out."""

from pages.views.report import figure_csv, report_file
from tests.pages.reports import HOSTILE, Page, compared, real_report, with_encoders


def test_each_encoder_has_a_line_with_its_cost_and_latency() -> None:
    failed = {"name": "gone/model", "status": "failed", "error": {"message": "No such model."}}
    found = with_encoders(compared("a/small"), failed, compared("b/large"))
    lines = figure_csv(found, "encoders", None).splitlines()
    assert lines[0].startswith("panel,encoder,columns,log loss,difference,from,to")
    assert lines[1].startswith(
        "By rank,a/small,384,0.31,0.0,,,10250.0,0.000205,0.0121,0.0304,0.015"
    )
    assert not any("gone/model" in line for line in lines)
    text = Page(report_file(found).html).text
    assert "It ties and is cheaper. gone/model dropped out: No such model." in text
    assert "ranked on a sample of about 1,000 rows" in text


def test_hostile_names_stay_text() -> None:
    for name in HOSTILE:
        html = report_file(with_encoders(compared(name), compared("other"))).html
        assert "<script>alert(1)" not in html
        assert "<img src=x" not in html


def test_other_jobs_have_none() -> None:
    page = Page(report_file(real_report() | {"encoders": None}).html)
    assert 'A job with "encoders" compares 2 to 8' in page.text

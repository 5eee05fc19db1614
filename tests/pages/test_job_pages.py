"""The list of jobs and a job's page, out of what the API answers."""

from typing import Any

import pytest

from pages.views.job import NoCandidateError, job_page
from pages.views.jobs import jobs_page
from pages.views.shell import Place
from tests.pages.reports import HOSTILE, Page
from tests.pages.values import a_job, an_event, harmless, progress

PLACE = Place(root="../../")


def of(job: dict[str, Any], *events: dict[str, Any], **options: Any) -> Page:
    return harmless(job_page(job, events, PLACE, **options))


def test_a_running_job_says_how_far_it_is() -> None:
    page = of(a_job(), an_event("job.started", attempt=1))
    assert page.named("progress")[0]["value"] == "0.62"
    assert "NMTune, epoch 3 of 10, about 1.4 s left" in page.text
    assert [one for one in page.named("li") if one.get("aria-current") == "step"]
    assert [one for one in page.named("form") if str(one.get("action")).endswith("/cancel")]


def test_losses_are_drawn_for_the_candidate_asked_for() -> None:
    events = [
        progress(name, at, total=1 / at, covariance=0.1)
        for name in ("mlp", "nmtune")
        for at in (1, 2, 3)
    ]
    page = of(a_job(), *events)
    assert "covariance" in page.text
    chosen = [one["href"] for one in page.named("a") if one.get("aria-current") == "true"]
    assert chosen == ["?candidate=nmtune#losses"]
    chosen = [
        one["href"]
        for one in of(a_job(), *events, candidate="mlp").named("a")
        if one.get("aria-current") == "true"
    ]
    assert chosen == ["?candidate=mlp#losses"]
    with pytest.raises(NoCandidateError, match="It has mlp and nmtune"):
        of(a_job(), *events, candidate="<b>")


def test_another_attempt_begins_its_losses_anew() -> None:
    events = [
        an_event("job.started", attempt=1),
        progress("mlp", 1, total=1.0),
        an_event("job.requeued", reason="worker_lost", attempt=1),
        an_event("job.started", attempt=2),
    ]
    page = of(a_job(), *events)
    assert "Losses by epoch" not in page.text
    assert "given back to the queue: worker lost" in page.text


def test_losses_that_cannot_be_drawn_take_no_page_with_them() -> None:
    page = of(a_job(), progress("mlp", 1, total=1.0), progress("mlp", 2, total="much"))  # type: ignore[arg-type]
    assert "What happened" in page.text


def test_a_failure_says_why_and_offers_to_run_again() -> None:
    error = {"code": "out_of_memory", "message": "It took 15.8 GB. Send fewer rows."}
    page = of(a_job(status="failed", error=error), again={"epochs": 3})
    assert "Send fewer rows." in page.text
    assert "out_of_memory" in page.text
    again = next(str(one["href"]) for one in page.named("a") if "ui/new?" in str(one["href"]))
    assert "method=nmtune" in again
    assert "config=%7B%22epochs%22%3A+3%7D" in again
    assert not page.named("progress")


def test_a_job_that_waits_says_for_what() -> None:
    waiting = {"code": "x", "message": "The provider is away.", "until": "2026-11-24T04:00:00Z"}
    page = of(a_job(status="queued", stage=None, progress=None, waiting=waiting))
    assert "The provider is away. It goes on at 2026-11-24 04:00 UTC." in page.text


def test_a_succeeded_job_offers_the_candidates_that_it_did_not_publish() -> None:
    config = {"method": "auto", "configs": {"linear_probe": {"seed": 0}, "nmtune": {"seed": 0}}}
    head = {"name": "pets", "version": 3}
    page = of(
        a_job(status="succeeded", report_status="complete", method="auto", config=config, head=head)
    )
    assert [one["value"] for one in page.named("option")] == ["linear_probe", "nmtune"]
    published = of(
        a_job(
            status="succeeded", report_status="complete", method="nmtune", config=config, head=head
        )
    )
    assert [one["value"] for one in published.named("option")] == ["linear_probe"]


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_words_of_others_are_hostile_until_escaped(hostile: str) -> None:
    job = a_job(
        status="failed",
        error={"code": hostile, "message": hostile},
        description=hostile,
        tags={"a": hostile},
        stage=hostile,
        alias_outcome={"reason": hostile, "command": hostile},
    )
    events = [
        an_event("job.failed", error={"message": hostile}),
        an_event("job.stage", stage=hostile),
    ]
    page = of(job, *events, progress(hostile, 1, total=1.0), progress(hostile, 2, total=1.0))
    if "{{" in hostile:
        assert "{{ 7 * 7 }}" in page.text


def test_the_list_links_to_older_jobs_and_filters_by_status() -> None:
    found = {
        "items": [a_job(status="failed", error={"message": "Too few rows."})],
        "next_cursor": "a b",
    }
    page = harmless(jobs_page(found, PLACE, status="failed", is_first=True))
    links = [one["href"] for one in page.named("a")]
    assert "?status=failed&cursor=a+b" in links
    assert "?status=running" in links
    assert "Too few rows." in page.text


@pytest.mark.parametrize(
    ("status", "is_first", "told"),
    [
        (None, True, "Jobs will stand here."),
        ("failed", True, "No job is failed."),
        (None, False, "There are no older jobs."),
    ],
    ids=["none", "none of the status", "none older"],
)
def test_an_empty_list_says_what_will_stand_there(
    status: str | None, is_first: bool, told: str
) -> None:
    page = Page(
        jobs_page({"items": [], "next_cursor": None}, PLACE, status=status, is_first=is_first)
    )
    assert told in page.text


HEAD = {"name": "pets", "version": 3}


def test_head_of_a_job_that_goes_on_can_be_used() -> None:
    told = an_event("head.published", head=HEAD, alias=None)
    page = of(a_job(head=HEAD, report_status="incomplete"), told)
    assert "pets@3 is published and can predict, while the job goes on. The report so far" in (
        page.text
    )
    assert "head.published pets@3" in page.text
    [place] = [one for one in page.named("div") if one.get("id") == "published"]
    assert "data-follow" in place, "it comes without a reload"
    assert "is published" not in of(a_job()).text


@pytest.mark.parametrize(
    ("status", "words"),
    [("failed", "the job failed before"), ("cancelled", "the job was cancelled before")],
)
def test_head_of_a_job_that_did_not_finish_stays_and_is_not_called_done(
    status: str, words: str
) -> None:
    page = of(a_job(status=status, head=HEAD, report_status="incomplete"))
    assert f"pets@3 is published and stays, but {words} it was compared." in page.text
    assert "Read what the report has" in page.text
    assert "Read the report of" not in page.text
    assert "Map of its rows" not in page.text

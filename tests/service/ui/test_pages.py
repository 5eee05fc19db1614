"""The pages over HTTP: the report's page, its file and figures, and the job's page."""

import json
import zipfile
from io import BytesIO

import pytest
from fastapi import FastAPI

from store.store import Store
from tests.pages.reports import Page, real_report
from tests.service.in_process import InProcess, add_job, assert_problem, claim, publish, succeed

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
def reported(store: Store, trained: bytes) -> str:
    """A job that has succeeded with a real report; its id."""
    job = claim(store, add_job(store, alias="prod"))
    return succeed(store, job, trained, report=json.dumps(real_report()).encode()).id


def test_report_page_has_the_policy_and_its_files(client: InProcess, reported: str) -> None:
    answer = client.get(f"/ui/jobs/{reported}/report")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    page = Page(answer.text)
    assert "pets@1" in page.text
    addresses = [one["href"] for one in page.named("link") if one["rel"] == "stylesheet"]
    addresses += [one["src"] for one in page.named("script") if one.get("src")]
    assert addresses
    for address in addresses:
        assert str(address).startswith("../../../ui/static/")
        file = client.get(str(address).removeprefix("../../.."))
        assert file.status_code == 200
        assert "immutable" in file.headers["cache-control"]


def test_every_link_of_the_page_leads_somewhere(client: InProcess, reported: str) -> None:
    base = f"/ui/jobs/{reported}/"
    page = Page(client.get(f"{base}report").text)
    for address in {str(one["href"]) for one in page.named("a")}:
        if address.startswith("#"):
            continue
        path = address.partition("#")[0]
        if path.startswith("?"):
            path = f"{base}report{path}"
        elif path.startswith("../../../"):
            path = f"/{path.removeprefix('../../../')}"
        else:
            path = base + path
        # This job is like those of earlier versions, which kept no rows.
        of_files = {"rows", "labels", "map"} & set(path.partition("?")[0].split("/"))
        assert client.get(path).status_code == (404 if of_files else 200), address


def test_pages_hold_under_a_sub_path(app: FastAPI, reported: str) -> None:
    below = FastAPI()
    below.mount("/models", app)
    answer = InProcess(below).get(f"/models/ui/jobs/{reported}/report")
    styles = [one["href"] for one in Page(answer.text).named("link")]
    assert str(styles[0]).startswith("../../../ui/static/")


@pytest.mark.parametrize(
    ("query", "headers", "media_type"),
    [
        ("", {}, "application/json"),
        ("", {"Accept": "*/*"}, "application/json"),
        ("", {"Accept": "application/json, text/html"}, "application/json"),
        ("", {"Accept": "text/html"}, "text/html; charset=utf-8"),
        ("", BROWSER, "text/html; charset=utf-8"),
        ("?format=json", BROWSER, "application/json"),
        ("?format=html", {}, "text/html; charset=utf-8"),
    ],
)
def test_report_is_a_file_for_whoever_asks_for_html(
    client: InProcess, reported: str, query: str, headers: dict[str, str], media_type: str
) -> None:
    answer = client.get(f"/jobs/{reported}/report{query}", headers=headers)
    assert answer.headers["content-type"] == media_type
    assert answer.headers["vary"] == "Accept"
    if media_type.startswith("text/html"):
        named = 'attachment; filename="pets-1-report.html"'
        assert answer.headers["content-disposition"] == named
        assert "Content-Security-Policy" in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    else:
        assert answer.json()["verdict"] == real_report()["verdict"]


@pytest.mark.parametrize(
    ("name", "media_type", "begins"),
    [
        ("spectrum-1.svg", "image/svg+xml", "<svg "),
        ("confusion-2.svg", "image/svg+xml", "<svg "),
        ("per-class.csv", "text/csv; charset=utf-8", "panel,class,rows"),
        ("per-class.csv?candidate=mlp", "text/csv; charset=utf-8", "panel,class,rows"),
    ],
)
def test_figures_can_be_taken(
    client: InProcess, reported: str, name: str, media_type: str, begins: str
) -> None:
    answer = client.get(f"/ui/jobs/{reported}/report/figures/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"].startswith('attachment; filename="pets-')
    assert answer.text.startswith(begins)


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/ui/jobs/job_nothere", 404, "job_nothere"),
        ("/ui/jobs/job_nothere/report", 404, "job_nothere"),
        ("/ui/jobs/no%20id/report", 422, "must be an id"),
        ("/ui/jobs/{id}/report?split=nowhere", 404, "It has test"),
        ("/ui/jobs/{id}/report?candidate=<b>", 404, "It has auto"),
        ("/ui/jobs/{id}/report/figures/nothing.csv", 404, "There are verdict"),
        ("/ui/jobs/{id}/report/figures/spectrum-99.svg", 404, "It has 1, 2"),
        ("/ui/jobs/{id}/report/figures/scores-1.svg", 404, "take its CSV"),
        ("/ui/jobs/{id}/report/figures/spectrum.exe", 422, "name"),
        ("/ui/static/0123/other.css", 404, "no such file"),
        ("/ui/static/0123/..%2fenvironment.py", 404, "no page"),
        ("/ui/nothing", 404, "/docs"),
    ],
)
def test_what_is_not_there_is_a_page_that_says_what_there_is(
    client: InProcess, reported: str, path: str, status: int, told: str
) -> None:
    answer = client.get(path.replace("{id}", reported))
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    page = Page(answer.text)
    assert told in page.text
    assert answer.headers["x-request-id"] in page.text


def test_a_job_without_a_report_is_the_jobs_page(client: InProcess, store: Store) -> None:
    job_id = add_job(store)
    answer = client.get(f"/ui/jobs/{job_id}/report")
    assert (answer.status_code, answer.headers["location"]) == (303, f"../{job_id}")
    page = Page(client.get(f"/ui/jobs/{job_id}").text)
    assert "queued" in page.text
    assert page.named("progress")
    assert_problem(client.get(f"/jobs/{job_id}/report", headers=BROWSER), 409, "report_not_ready")


def test_the_page_of_a_job_that_has_ended_leads_to_its_report(
    client: InProcess, reported: str
) -> None:
    page = Page(client.get(f"/ui/jobs/{reported}").text)
    assert not page.named("progress")
    assert f"../../ui/jobs/{reported}/report" in {one["href"] for one in page.named("a")}


def test_the_bundle_has_the_report_for_people(
    client: InProcess, store: Store, trained: bytes
) -> None:
    publish(store, trained)
    answer = client.get("/heads/pets/versions/1/export?format=bundle")
    with zipfile.ZipFile(BytesIO(answer.content)) as archive:
        page = Page(archive.read("pets-1/report.html").decode())
    assert "pets@1" in page.text


def test_another_version_of_a_report_that_is_no_object_is_a_page(
    client: InProcess, store: Store, trained: bytes
) -> None:
    job = claim(store, add_job(store))
    job_id = succeed(store, job, trained, report=b"[1]").id
    assert client.get(f"/ui/jobs/{job_id}/report").status_code == 200


def test_the_bare_address_leads_to_the_first_page(app: FastAPI, client: InProcess) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "ui/")
    below = FastAPI()
    below.mount("/models", app)
    assert InProcess(below).get("/models/").headers["location"] == "ui/"

"""The pages of rows, labels, map, try and drift over HTTP: real files, links, costs, refusals."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from store import job_files, jobs
from store.job_files import NewJobFile
from store.names import DEFAULT_TENANT
from store.store import Store
from tests.pages.reports import Page
from tests.pages.test_map_page import a_map
from tests.pages.values import harmless
from tests.service.in_process import InProcess, add_job, claim, publish, succeed
from tests.service.job_rows.made_job import MadeJob, add_job_with_rows
from tests.store.made_rows import clock_ahead, statements


@pytest.fixture
def made(store: Store, tmp_path: Path, trained: bytes) -> MadeJob:
    """A job on texts whose rows and map are kept."""
    made = add_job_with_rows(store, tmp_path, trained, texts=True)
    add_map(store, made.job.id)
    return made


def add_map(store: Store, job_id: str) -> None:
    """Keep a map of the job."""
    kept = store.artifacts.put_bytes(DEFAULT_TENANT, a_map().to_bytes())
    with store.database.begin() as tx:
        file = NewJobFile(name=job_files.MAP, sha256=kept.sha256, size_bytes=kept.size_bytes)
        job_files.add(tx, jobs.get(tx, DEFAULT_TENANT, job_id), [file])


def test_rows_labels_and_map_show_what_the_api_answers(client: InProcess, made: MadeJob) -> None:
    base = f"/ui/jobs/{made.job.id}"
    rows = harmless(client.get(f"{base}/rows?only=errors&split=test&label=&sort=").text)
    expected = client.get(f"/jobs/{made.job.id}/rows?only=errors&split=test").json()
    assert (
        f"{expected['n_matching']} rows of ID test that the published head gets wrong" in rows.text
    )
    for one in expected["items"]:
        assert one["text"].strip() in rows.text
    labels = harmless(client.get(f"{base}/labels").text)
    assert "4 training rows" in labels.text
    suspects = client.get(f"/jobs/{made.job.id}/rows?only=suspected&sort=suspicion").json()
    places = [labels.text.index(one["text"].strip()) for one in suspects["items"]]
    assert places == sorted(places)
    assert "200 of 212 rows" in harmless(client.get(f"{base}/map").text).text


def test_rows_go_on_page_by_page(client: InProcess, made: MadeJob) -> None:
    path, seen = f"/ui/jobs/{made.job.id}/rows?limit=50", 0
    while path:
        page = Page(client.get(path).text)
        seen += len([tag for tag, _ in page.tags if tag == "tr"]) - 1
        following = [one["href"] for one in page.named("a") if one.get("rel") == "next"]
        path = f"/ui/jobs/{made.job.id}/{following[0]}" if following else ""
    assert seen == 130


@pytest.mark.parametrize(
    ("page", "route"),
    [
        ("/ui/jobs/{id}/rows?only=errors", "/jobs/{id}/rows?only=errors"),
        ("/ui/jobs/{id}/labels", "/jobs/{id}/rows?only=suspected&neighbours=true&sort=suspicion"),
        ("/ui/jobs/{id}/map", "/jobs/{id}/map"),
        ("/ui/heads/made/try", "/heads/made"),
        ("/ui/heads/knowing/drift", "/heads/knowing/drift?by=hour"),
    ],
    ids=["rows", "labels", "map", "try", "drift"],
)
def test_a_page_sends_no_statement_that_its_route_would_not(
    client: InProcess, store: Store, made: MadeJob, knowing: bytes, page: str, route: str
) -> None:
    publish(store, knowing, name="knowing")

    def sent(path: str) -> Sequence[str]:
        client.get(path)  # what is known after the first time costs neither
        with statements() as seen:
            assert client.get(path).status_code == 200
        return [one.sql for one in seen if "alembic_version" not in one.sql]

    of_page = Counter(sent(page.format(id=made.job.id)))
    assert not of_page - Counter(sent(route.format(id=made.job.id)))


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/ui/jobs/{id}/rows?split=none", 422, "It has train, test, ood/web"),
        ("/ui/jobs/{id}/rows?label=<b>", 422, "It has cat, dog, owl"),
        ("/ui/jobs/{id}/rows?only=gained", 422, "against which one"),
        ("/ui/jobs/{id}/rows?page=2", 422, "page"),
        ("/ui/jobs/{id}/rows?cursor=broken", 422, "cursor"),
        ("/ui/jobs/{id}/labels?cursor=broken", 422, "cursor"),
        ("/ui/jobs/job_nothing/map", 404, "job_nothing"),
        ("/ui/jobs/{old}/map", 404, "earlier version"),
        ("/ui/jobs/{old}/rows", 404, "earlier version"),
        ("/ui/heads/nobody/try", 404, "nobody"),
        ("/ui/heads/made/drift?of=9", 404, "made@9"),
        ("/ui/heads/made/drift?of=no name", 422, "alias"),
        ("/ui/heads/made/drift?hours=0", 422, "hours"),
        ("/ui/heads/made/drift", 422, "Train it again"),
    ],
    ids=lambda value: value.replace("/", "-") if isinstance(value, str) else "",
)
def test_what_is_wrong_is_a_page_that_says_what(
    client: InProcess,
    store: Store,
    made: MadeJob,
    trained: bytes,
    path: str,
    status: int,
    told: str,
) -> None:
    old = succeed(store, claim(store, add_job(store)), trained)
    answer = client.get(path.format(id=made.job.id, old=old.id))
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (
        status,
        "text/html",
    )
    assert told in harmless(answer.text).text


def test_files_that_are_no_longer_kept_are_told_in_words(
    client: InProcess, store: Store, made: MadeJob
) -> None:
    with clock_ahead(100 * 86_400), store.database.begin() as tx:
        job_files.expire(tx, days=90)
    for name in ("rows", "labels", "map"):
        answer = client.get(f"/ui/jobs/{made.job.id}/{name}")
        assert answer.status_code == 410
        assert "NMTUNE_JOB_FILES_DAYS" in Page(answer.text).text


@pytest.mark.parametrize("name", ["rows", "labels", "map"])
def test_before_there_are_files_the_jobs_page_is_shown(
    client: InProcess, store: Store, name: str
) -> None:
    job_id = add_job(store)
    answer = client.get(f"/ui/jobs/{job_id}/{name}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"../{job_id}")


def test_drift_of_a_head_without_rows(client: InProcess, store: Store, knowing: bytes) -> None:
    publish(store, knowing, alias="prod")
    for query in ("", "?of=prod&hours=72", "?of=latest", "?of=1", "?of="):
        page = harmless(client.get(f"/ui/heads/pets/drift{query}").text)
        assert "pets@1" in page.text
        assert "No row was predicted" in page.text

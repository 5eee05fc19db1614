"""GET /jobs/{id}/map: the stored map, with the truth about a drawing that never came."""

import pytest
from safetensors.numpy import load

from store import job_files
from store.files.job_map import JobMap
from store.job_files import NewJobFile
from store.jobs import Job
from store.names import DEFAULT_TENANT
from store.store import Store
from tests.service.in_process import InProcess, add_job, assert_problem, claim, succeed
from tests.store.files.test_job_map import made
from tests.store.made_rows import clock_ahead, flip


@pytest.fixture
def job(store: Store, trained: bytes) -> Job:
    """A job that has succeeded, with a map whose t-SNE is pending."""
    job = succeed(store, claim(store, add_job(store)), trained)
    reference = store.artifacts.put_bytes(DEFAULT_TENANT, made().to_bytes())
    file = NewJobFile(name=job_files.MAP, sha256=reference.sha256, size_bytes=reference.size_bytes)
    with store.database.begin() as tx:
        job_files.add(tx, job, [file])
    return job


def test_a_map_is_a_safetensors_file(client: InProcess, job: Job) -> None:
    response = client.get(f"/jobs/{job.id}/map")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/vnd.safetensors"
    assert response.content == made().to_bytes()
    assert load(response.content)["pca_raw"].shape == (4, 2)


def test_a_drawing_that_never_came_is_not_pending_for_ever(client: InProcess, job: Job) -> None:
    with clock_ahead(119):
        found = JobMap.from_bytes(client.get(f"/jobs/{job.id}/map").content)
    assert found.tsne == "pending"
    with clock_ahead(3600):
        found = JobMap.from_bytes(client.get(f"/jobs/{job.id}/map").content)
    assert found.tsne.startswith("Not drawn")


def test_no_map_yet_no_longer_and_never(
    client: InProcess, store: Store, job: Job, trained: bytes
) -> None:
    queued = add_job(store)
    assert_problem(client.get(f"/jobs/{queued}/map"), 409, "job_file_not_ready")
    old = succeed(store, claim(store, queued), trained)
    assert_problem(client.get(f"/jobs/{old.id}/map"), 404, "job_file_missing")
    assert_problem(client.get("/jobs/none/map"), 404, "not_found")
    with clock_ahead(100 * 86_400), store.database.begin() as tx:
        job_files.expire(tx, days=90)
    assert_problem(client.get(f"/jobs/{job.id}/map"), 410, "job_file_expired")


def test_a_damaged_map_is_never_shown(client: InProcess, store: Store, job: Job) -> None:
    with store.database.read() as tx:
        file = job_files.get(tx, DEFAULT_TENANT, job.id, job_files.MAP)
    flip(store.artifacts.open_path(DEFAULT_TENANT, file.sha256))
    assert_problem(client.get(f"/jobs/{job.id}/map"), 503, "artifact_corrupt")

"""Versions are compared row by row where their jobs keep the rows, and else it is said why not."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from store import job_files
from store.cleanup import garbage
from store.database import tables
from store.datasets import Lineage
from store.jobs import Job
from store.store import Store
from tests.service.candidate_jobs import N_ROWS, CandidateJob, right
from tests.service.in_process import InProcess, publish
from tests.store.made_rows import clock_ahead, flip

GAINED, LOST, BOTH_WRONG = range(12), range(20, 23), range(30, 40)
SAID = {
    "train": {"nmtune": right(*range(50)), "mlp": right()},
    "test": {"nmtune": right(*GAINED, *BOTH_WRONG), "mlp": right(*LOST, *BOTH_WRONG)},
    "ood/zoo": {"nmtune": right(*range(5)), "mlp": right(*range(60))},
}


def compare(client: InProcess, before: int, after: int) -> dict[str, Any]:
    answer = client.get(f"/heads/pets/compare?from={before}&to={after}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def job(client: InProcess, store: Store, trained: bytes) -> Job:
    """A job that published nmtune as pets@1 and, on request, the MLP as pets@2."""
    job = CandidateJob(heads={"nmtune": trained, "mlp": trained + b" "}, said=SAID).run(store)
    answer = client.post(f"/jobs/{job.id}/publish", json={"candidate": "mlp"})
    assert answer.json()["version"] == 2
    return job


def test_two_candidates_of_a_job_are_paired(client: InProcess, job: Job) -> None:
    """Against scipy's binomial test, and rows really drawn again."""
    found = compare(client, 1, 2)
    assert found["paired"] is True
    assert found["note"].startswith("Paired: ")
    splits = {one["split"]: one for one in found["splits"]}
    test = splits["test"]
    assert (test["n_gained"], test["n_lost"]) == (12, 3)
    assert test["p_value"] == pytest.approx(stats.binomtest(3, 15, 0.5).pvalue)
    accuracy = test["metrics"]["accuracy"]
    assert accuracy["difference"] == pytest.approx(9 / N_ROWS)
    before, after = SAID["test"]["nmtune"], SAID["test"]["mlp"]
    difference = after.astype(float) - before
    drawn = np.random.default_rng(2).choice(difference, (5000, N_ROWS)).mean(axis=1)
    assert accuracy["interval"] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.006)
    assert (splits["ood/zoo"]["n_gained"], splits["ood/zoo"]["n_lost"]) == (0, 55)
    assert "12 gained and 3 lost, paired 95 % interval" in found["verdict"]
    assert "clearly worse on ood/zoo" in found["verdict"]
    # What is kept of training rows was said by other models.
    assert [splits["train"][name] for name in ("n_gained", "n_lost", "p_value")] == [None] * 3
    turned = compare(client, 2, 1)
    (test,) = [one for one in turned["splits"] if one["split"] == "test"]
    assert (test["n_gained"], test["n_lost"]) == (3, 12)
    assert compare(client, 1, 2) == found


def test_versions_of_two_jobs_on_the_same_data_are_paired(
    client: InProcess, store: Store, trained: bytes, job: Job
) -> None:
    said = {"test": {"mlp": SAID["test"]["mlp"]}}
    CandidateJob(heads={"mlp": trained}, method="mlp", said=said).run(store)
    found = compare(client, 1, 3)
    assert found["paired"] is True
    rows = {one["split"]: (one["n_gained"], one["n_lost"]) for one in found["splits"]}
    assert rows == {"train": (None, None), "test": (12, 3), "ood/zoo": (None, None)}


def assert_unpaired(found: dict[str, Any], why: str) -> None:
    assert found["paired"] is False
    assert found["note"] == (
        f"Not paired: {why}, so intervals treat the two results as independent samples. On the "
        "same rows a paired test would usually be sharper."
    )
    assert {one["n_gained"] for one in found["splits"]} == {None}
    assert all(one["p_value"] is None for one in found["splits"])


def test_other_data_is_not_paired(
    client: InProcess, store: Store, trained: bytes, job: Job
) -> None:
    CandidateJob(heads={"nmtune": trained}, said=SAID_ALONE, data=b"other").run(store)
    assert_unpaired(compare(client, 1, 3), "the two were tested on different data")


SAID_ALONE = {split: {"nmtune": of["nmtune"]} for split, of in SAID.items()}


@pytest.mark.parametrize(
    ("changed", "paired"),
    [
        (("train",), {"test": (12, 3), "ood/zoo": (0, 55)}),
        (("train", "test"), {"ood/zoo": (0, 55)}),
    ],
    ids=["train", "train and test"],
)
def test_splits_that_a_correction_left_alone_are_paired(
    client: InProcess,
    store: Store,
    trained: bytes,
    job: Job,
    changed: tuple[str, ...],
    paired: dict[str, tuple[int, int]],
) -> None:
    lineage = Lineage(
        parent_id=job.dataset_id, parent_sha256="0" * 64, n_relabelled=3, changed_splits=changed
    )
    said = {split: {"nmtune": of["mlp"]} for split, of in SAID.items()}
    corrected = CandidateJob(
        heads={"nmtune": trained + b"  "}, said=said, data=b"corrected", lineage=lineage
    )
    corrected.run(store)
    found = compare(client, 1, 3)
    rows = {one["split"]: (one["n_gained"], one["n_lost"]) for one in found["splits"]}
    assert {split: counts for split, counts in rows.items() if counts[0] is not None} == paired
    same = {one["split"]: one["same_rows"] for one in found["splits"]}
    assert same == {split: split not in changed for split in SAID}
    assert ("Not comparable" in found["verdict"]) is ("test" in changed)
    assert found["dataset_revision"]["n_relabelled"] == 3


def test_a_version_whose_job_kept_no_rows_is_not_paired(
    client: InProcess, store: Store, trained: bytes, job: Job
) -> None:
    other = {"nmtune": trained + b"  "}
    CandidateJob(heads=other, said=SAID_ALONE, keeps_rows=False).run(store)
    found = compare(client, 1, 3)
    assert_unpaired(found, "pets@3 comes from an earlier release, which kept no results by row")
    (test,) = [one for one in found["splits"] if one["split"] == "test"]
    assert test["same_rows"] is True
    assert test["metrics"]["accuracy"]["interval"] is not None
    assert "unpaired 95 % interval" in found["verdict"]


def test_rows_that_are_no_longer_kept_are_not_paired(
    client: InProcess, store: Store, job: Job
) -> None:
    with clock_ahead(91 * 86_400):
        garbage.collect(store, job_files_days=90)
    assert_unpaired(compare(client, 1, 2), "the results by row of pets@1 are no longer kept")


def test_damaged_rows_are_not_used(
    client: InProcess, store: Store, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    with store.database.read() as tx:
        file = job_files.get(tx, "default", job.id, job_files.ROWS)
    flip(store.artifacts.open_path("default", file.sha256))
    assert_unpaired(compare(client, 1, 2), "the results by row of pets@1 cannot be read now")
    assert "compare.rows_unreadable head=pets@1" in caplog.text


def test_versions_that_share_no_split_but_train_are_not_paired(
    client: InProcess, store: Store, trained: bytes, job: Job
) -> None:
    said = {"train": {"nmtune": right()}}
    CandidateJob(heads={"nmtune": trained}, said=said).run(store)
    why = "the two share no split that both were tested on"
    assert_unpaired(compare(client, 1, 3), why)


def test_a_version_whose_data_is_not_known_is_not_paired(
    client: InProcess, store: Store, trained: bytes, job: Job
) -> None:
    publish(store, trained)
    with store.database.begin() as tx:
        tx.execute(tables.head_versions.update().values(dataset_sha256=None))
    why = "it is not known whether the two were tested on the same data"
    assert_unpaired(compare(client, 1, 2), why)

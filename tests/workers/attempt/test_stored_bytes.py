"""No head is made of stored bytes that changed, however they changed and whenever."""

import threading
from pathlib import Path

from store.jobs import Job
from store.registry import heads
from tests.store.made_rows import flip
from tests.support.waiting import wait_until
from tests.workers.workplace import ENDLESS, Workplace

CHECKPOINT = "mlp.checkpoint.safetensors"


def path_of(workplace: Workplace, sha256: str) -> Path:
    return workplace.store.artifacts.open_path("default", sha256)


def assert_corrupt(job: Job | None, *, attempt: int = 1) -> None:
    assert job is not None
    assert job.error is not None, job.status
    assert (job.status, job.error["code"]) == ("failed", "artifact_corrupt")
    assert "damaged" in job.error["message"]
    assert (job.attempt, job.report_sha256) == (attempt, None)


def test_a_data_set_used_before_and_changed_since_trains_nothing(workplace: Workplace) -> None:
    dataset = workplace.add_dataset()
    config = {"l2": 1.0}
    first = workplace.run(workplace.submit(config, method="linear_probe", dataset=dataset))
    assert first is not None
    assert first.status == "succeeded", first.error
    path = path_of(workplace, dataset.sha256)
    flip(path)
    assert_corrupt(workplace.run(workplace.submit(config, method="linear_probe", dataset=dataset)))
    with workplace.store.database.read() as tx:
        assert heads.get(tx, "default", "pets").latest_version == 1


def test_a_data_set_that_changes_during_a_training_leaves_no_checkpoint_of_it(
    workplace: Workplace,
) -> None:
    dataset = workplace.add_dataset()
    path = path_of(workplace, dataset.sha256)
    job = workplace.submit(ENDLESS, method="mlp", dataset=dataset)
    with workplace.running(job):
        wait_until(lambda: CHECKPOINT in workplace.read(job).checkpoint)
        flip(path)
    waiting = workplace.read(job)
    assert waiting.status == "queued"
    assert CHECKPOINT in waiting.checkpoint, "the one that was made before"
    wait_until(lambda: (ended := workplace.run(job)) is not None and ended.status.is_final)
    assert_corrupt(workplace.read(job), attempt=2)


def test_a_checkpoint_that_was_changed_is_trained_again(workplace: Workplace) -> None:
    config = {"epochs": 60, "batch_size": 8, "l2": 1.0, "seed": 8}
    undisturbed = workplace.run(workplace.submit(config, method="mlp"))
    assert undisturbed is not None
    job = workplace.submit(config, method="mlp")
    stopping = threading.Event()
    with workplace.running(job, stopping=stopping):
        wait_until(lambda: CHECKPOINT in workplace.read(job).checkpoint)
        stopping.set()
    checkpoint = workplace.read(job).checkpoint
    assert checkpoint
    for sha256 in checkpoint.values():
        path = path_of(workplace, sha256)
        flip(path)
    ended = workplace.run(job)
    assert ended is not None
    assert ended.status == "succeeded", ended.error
    assert workplace.head_sha256(ended) == workplace.head_sha256(undisturbed)


def test_the_user_is_not_blamed_for_rows_that_the_disk_changed(workplace: Workplace) -> None:
    """A number that became NaN in the stored file reads like bad data; it is not theirs."""
    dataset = workplace.add_dataset()
    path = path_of(workplace, dataset.sha256)
    job = workplace.submit(ENDLESS, method="mlp", dataset=dataset)
    with workplace.running(job):
        wait_until(lambda: CHECKPOINT in workplace.read(job).checkpoint)
        path.chmod(0o600)
        with path.open("r+b") as file:
            file.seek(-4, 2)
            file.write(b"\xff\xff\xff\xff")
    assert workplace.read(job).status == "queued"
    wait_until(lambda: (ended := workplace.run(job)) is not None and ended.status.is_final)
    assert_corrupt(workplace.read(job), attempt=2)

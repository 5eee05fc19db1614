"""Going on where it was broken off: however a training ends early, its head comes out the same."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from store.jobs import Job
from tests.support.places import ROOT
from tests.support.waiting import wait_until
from tests.workers.workplace import OpenWorkplace, Workplace, children, is_running, start_worker

pytestmark = pytest.mark.slow

N_EPOCHS = 100
CONFIG = {"epochs": N_EPOCHS, "batch_size": 8, "l2": 1.0, "seed": 8}
CHECKPOINT = "mlp.checkpoint.safetensors"

WORKER = """
import sys, threading
from store.queue import LocalQueue
from store.store import Store
from workers.slots.local import LocalWorker
from workers.settings import WorkerSettings

settings = WorkerSettings(
    data_dir=sys.argv[1], n_threads=1, lease_seconds=6, checkpoint_seconds=0, standby="never"
)
LocalWorker(Store.open(settings), LocalQueue(), settings).start()
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def undisturbed(open_workplace: OpenWorkplace, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The sha256 of the head that nothing disturbs."""
    workplace = open_workplace(tmp_path_factory.mktemp("undisturbed"))
    job = workplace.run(workplace.submit(CONFIG, method="mlp"))
    assert job is not None
    return workplace.head_sha256(job)


@pytest.fixture
def job(workplace: Workplace) -> Job:
    return workplace.submit(CONFIG, method="mlp")


def wait_for_checkpoint(workplace: Workplace, job: Job) -> None:
    wait_until(lambda: CHECKPOINT in workplace.read(job).checkpoint)


def finish(workplace: Workplace, job: Job) -> Job:
    """Let another worker take the job to its end; it must go on within the candidate."""
    n_events = len(workplace.events(job))
    worker = start_worker(workplace)
    try:
        wait_until(lambda: workplace.read(job).status == "succeeded")
    finally:
        worker.stop()
    progress = [e.data for e in workplace.events(job)[n_events:] if e.type == "job.progress"]
    assert progress[0]["candidate"] == "mlp"
    assert progress[0]["epoch"] > 1
    finished = workplace.read(job)
    history = workplace.report(finished)["candidates"]["mlp"]["history"]
    assert [report["epoch"] for report in history] == list(range(1, N_EPOCHS + 1))
    return finished


def test_training_that_was_killed(workplace: Workplace, job: Job, undisturbed: str) -> None:
    with workplace.running(job):
        wait_for_checkpoint(workplace, job)
        for child in children():
            child.kill()
    broken_off = workplace.read(job)
    assert (broken_off.status, broken_off.attempt) == ("queued", 1)
    finished = finish(workplace, job)
    assert finished.attempt == 2
    assert workplace.head_sha256(finished) == undisturbed


def test_worker_that_was_stopped(workplace: Workplace, job: Job, undisturbed: str) -> None:
    worker = start_worker(workplace)
    wait_for_checkpoint(workplace, job)
    worker.stop()
    assert children() == []
    handed_back = workplace.read(job)
    assert (handed_back.status, handed_back.attempt) == ("queued", 0)
    assert handed_back.not_before_at is None, "the next worker goes on at once"
    assert set(handed_back.checkpoint) == {CHECKPOINT}
    stored = {item.sha256 for item in workplace.store.artifacts.stored()}
    assert len(stored - set(handed_back.checkpoint.values())) <= 2, (
        "beside the data set, and what came after the last heartbeat, nothing superseded stays"
    )
    finished = finish(workplace, job)
    assert finished.attempt == 1, "being stopped is no attempt"
    assert workplace.head_sha256(finished) == undisturbed


def test_worker_that_was_killed(workplace: Workplace, job: Job, undisturbed: str) -> None:
    folder = str(workplace.settings.data_dir)
    with subprocess.Popen([sys.executable, "-c", WORKER, folder], cwd=ROOT) as process:
        wait_for_checkpoint(workplace, job)
        trainings = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_running, trainings)))
    assert workplace.read(job).status == "running", "only the lease tells that nobody is there"
    finished = finish(workplace, job)
    assert finished.attempt == 2
    assert workplace.head_sha256(finished) == undisturbed
    assert list(workplace.settings.work_dir.iterdir()) == []

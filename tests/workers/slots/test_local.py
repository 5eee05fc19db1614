"""LocalWorker: works the queue in its slots, tidies up, and stays alive."""

import pytest

from tests.support.waiting import wait_until
from tests.workers.workplace import ENDLESS, Workplace, children, start_worker
from workers.folder import open_workdir


def test_slots_work_side_by_side(workplace: Workplace) -> None:
    dataset = workplace.add_dataset()
    both = [workplace.submit(ENDLESS, dataset=dataset) for _ in range(2)]
    worker = start_worker(workplace, slots=2)
    try:
        wait_until(lambda: all(workplace.read(job).status == "running" for job in both))
        wait_until(lambda: len(children()) == 2)
    finally:
        worker.stop()
    assert children() == []
    assert {workplace.read(job).status for job in both} == {"queued"}


def test_start_removes_work_folders_of_killed_workers_and_no_others(workplace: Workplace) -> None:
    root = workplace.settings.work_dir
    abandoned = root / "job_dead.1"
    abandoned.mkdir(parents=True)
    (abandoned / "lock").touch()
    with open_workdir(root, "job_alive.1") as alive:
        start_worker(workplace).stop()
        assert alive.path.exists()
        assert not abandoned.exists()


def test_worker_survives_a_database_without_tables(
    workplace: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    (workplace.settings.data_dir / "nmtune.db").write_bytes(b"")
    worker = start_worker(workplace)
    try:
        wait_until(lambda: "worker.claim_failed" in caplog.text)
        wait_until(lambda: "sweep.failed" in caplog.text)
    finally:
        worker.stop()

"""A training process that waits: it is used once, dies with its worker, and may be missing."""

import threading
from types import SimpleNamespace

import psutil
import pytest

from tests.support.waiting import wait_until
from tests.workers.workplace import ENDLESS, Workplace, children, is_running, start_worker
from workers.attempt.run import standby_of
from workers.attempt.standby import Standby

QUICK = {"l2": 1.0}


@pytest.fixture
def workplace(workplace: Workplace) -> Workplace:
    """One whose slots have a standby."""
    return Workplace(workplace.store, workplace.settings.model_copy(update={"standby": "always"}))


def made(workplace: Workplace) -> Standby:
    standby = standby_of(workplace.settings, 0)
    assert standby is not None
    return standby


def is_itself(command: list[str]) -> bool:
    """Whether the leash has become the command; in between there is none."""
    return "--standby" in command and not any("leash.py" in word for word in command)


def imported(process: psutil.Process) -> bool:
    """Whether it has imported torch: it maps its library."""
    return any("libtorch" in one.path for one in process.memory_maps())


def test_a_job_takes_the_waiting_process_and_ends_it(workplace: Workplace) -> None:
    worker = start_worker(workplace)
    try:
        [waiting] = wait_until(lambda: [c for c in children() if imported(c)])
        endless = workplace.submit(ENDLESS, method="mlp")
        wait_until(lambda: workplace.read(endless).progress)
        assert is_running(waiting.pid)
        assert waiting in children()
        workplace.request_cancel(endless)
        wait_until(lambda: workplace.read(endless).status == "cancelled")
        wait_until(lambda: not is_running(waiting.pid))
        [following] = wait_until(lambda: [c for c in children() if imported(c)])
        assert following.pid != waiting.pid, "each job has a process of its own"
        job = workplace.submit(QUICK, method="linear_probe")
        wait_until(lambda: workplace.read(job).status == "succeeded")
        wait_until(lambda: not is_running(following.pid))
    finally:
        worker.stop()
    assert not children()


def test_what_waits_ends_with_the_thread_that_made_it(workplace: Workplace) -> None:
    found: list[psutil.Process] = []
    standby = made(workplace)

    def slot() -> None:
        standby.prepare()
        found.extend(children())
        # Tied to this thread once the leash has become the command.
        wait_until(lambda: is_itself(found[0].cmdline()))

    thread = threading.Thread(target=slot)
    thread.start()
    thread.join()
    assert len(found) == 1
    wait_until(lambda: not children())
    standby.close()


def test_a_standby_that_died_is_not_given_out(workplace: Workplace) -> None:
    standby = made(workplace)
    standby.prepare()
    [waiting] = children()
    waiting.kill()
    wait_until(lambda: not is_running(waiting.pid))
    process = standby.take(workplace.settings.data_dir)
    if process is not None:  # the pipe took the line before it was known to be broken
        assert process.wait(60) != 0
    [following] = children()
    assert following.pid != waiting.pid, "the next starts as soon as one is taken"
    standby.close()
    assert not children()


def test_there_is_none_unless_the_settings_want_one(workplace: Workplace) -> None:
    assert standby_of(workplace.settings.model_copy(update={"standby": "never"}), 0) is None


def test_there_is_none_before_the_first_job_nor_long_after_the_last(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("workers.attempt.standby.time", SimpleNamespace(monotonic=lambda: now[0]))
    settings = workplace.settings.model_copy(
        update={"standby": "after_job", "standby_idle_seconds": 300}
    )
    standby = standby_of(settings, 0)
    assert standby is not None
    standby.prepare()
    standby.retire()
    assert not children(), "no job came yet"
    assert standby.take(settings.data_dir) is None
    [waiting] = children()
    now[0] += 301
    standby.retire()
    assert is_running(waiting.pid), "while a job runs the slot is not idle"
    standby.prepare()
    standby.retire()
    assert is_running(waiting.pid), "the time runs from the job's end"
    now[0] += 301
    standby.retire()
    assert not children()
    standby.prepare()
    assert not children(), "the next job brings the next one"
    standby.take(settings.data_dir)
    assert children()
    standby.close()


def test_one_that_is_always_wanted_is_never_given_up(workplace: Workplace) -> None:
    standby = made(workplace)
    standby.prepare()
    [waiting] = children()
    standby.retire()
    assert is_running(waiting.pid)
    standby.close()
    assert not children()

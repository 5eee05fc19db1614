"""What a job will take is known before it starts, and one that cannot fit is refused at once."""

from pathlib import Path

import pytest

from nmtune import TuneConfig, resolve
from nmtune.training.peak_memory import peak_bytes
from store import transitions
from store.jobs import Job
from tests.support.waiting import wait_until
from tests.workers.workplace import Workplace, children
from workers import memory
from workers.memory import InsufficientMemoryError, available_bytes

AUTO = list(resolve(method="auto").configs.values())


def predicted(n_rows: int, n_columns: int = 768, configs: list[TuneConfig] = AUTO) -> int:
    return peak_bytes(configs, n_rows=n_rows, n_columns=n_columns, n_classes=20, most_rows=n_rows)


def test_rows_are_held_a_bounded_number_of_times() -> None:
    one_copy = 4 * 768 * 1_000_000
    grown = predicted(2_000_000) - predicted(1_000_000)
    assert one_copy < grown < 5 * one_copy


def test_wide_heads_count() -> None:
    mlp = [TuneConfig.from_preset("paper")]
    n_weights = 8 * 4096**2
    assert predicted(100, 4096, mlp) > 16 * n_weights
    narrow = [TuneConfig.from_preset("paper", hidden_multiplier=1)]
    assert predicted(100, 4096, narrow) < predicted(100, 4096, mlp) / 2


def test_this_machine_tells_what_it_has_left() -> None:
    left = available_bytes()
    assert left is not None
    assert 1 << 26 < left < 1 << 50


def test_the_least_of_machine_container_and_limit_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\n")
    (tmp_path / "memory.max").write_text("3000000000\n")
    (tmp_path / "memory.current").write_text("2500000000\n")
    (tmp_path / "memory.stat").write_text("anon 1500000000\ninactive_file 700000000\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert available_bytes() == 3_000_000_000 - 2_500_000_000 + 700_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes() == 1024 * 8_000_000
    with pytest.raises(InsufficientMemoryError, match=r"about 9.0 GB .* has only 8.2 GB left"):
        memory.check(9_000_000_000)
    memory.check(8_000_000_000)


def test_a_job_that_cannot_fit_says_what_it_needs(workplace: Workplace) -> None:
    settings = workplace.settings.model_copy(update={"memory_limit": 400 << 20})
    workplace = Workplace(workplace.store, settings)
    job = workplace.submit({"epochs": 1})
    first = workplace.run(job)
    assert first is not None
    assert first.status == "queued", "memory may have been short for a reason that is over"
    wait_until(lambda: workplace.run(job))
    failed = workplace.read(job)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "out_of_memory"
    assert failed.error["stage"] == "loading"
    assert "GB of memory" in failed.error["message"]
    assert "fewer rows" in failed.error["message"]


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        ({"cgroup": "0::/a", "a/memory.events": "oom 3\noom_kill 2\n", "vmstat": "oom_kill 9"}, 2),
        ({"cgroup": "0::/elsewhere", "memory.events": "oom_kill 4"}, 4),
        ({"cgroup": "4:cpu,memory:/b", "memory/b/memory.oom_control": "oom_kill 5"}, 5),
        ({"cgroup": "0::/", "vmstat": "pgfree 1\noom_kill 7\n"}, 7),
        ({"cgroup": "0::/", "vmstat": "pgfree 1\n"}, None),
        ({}, None),
    ],
)
def test_kills_are_counted_where_the_kernel_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], kills: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(memory, "_OWN_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_VMSTAT", tmp_path / "vmstat")
    assert memory.n_kills() == kills


@pytest.mark.parametrize(
    ("before", "after", "told", "ran_out"),
    [
        (1, 2, {}, True),
        (1, 1, {}, False),
        (None, None, {}, False),
        (1, 1, {"needed_bytes": 50, "available_bytes": 1000}, False),
        (1, 1, {"needed_bytes": 900, "available_bytes": 1000}, True),
        (1, 1, {"needed_bytes": 900, "available_bytes": None}, False),
    ],
)
def test_memory_ran_out_only_where_something_says_so(
    monkeypatch: pytest.MonkeyPatch,
    before: int | None,
    after: int | None,
    told: dict[str, int | None],
    ran_out: bool,
) -> None:
    counts = iter((before, after))
    monkeypatch.setattr(memory, "n_kills", lambda: next(counts))
    assert memory.Watch().ran_out(told) is ran_out


def test_a_killed_process_has_three_attempts_and_is_not_called_short_of_memory(
    workplace: Workplace,
) -> None:
    """One attempt is lost for another reason, two by a SIGKILL from an unknown sender."""
    job = workplace.submit({"epochs": 10_000, "l2": 1.0})
    with workplace.store.database.begin() as tx:
        lost = transitions.claim(tx, job.id, worker="tests", lease_seconds=60)
        assert lost is not None
        away = {"code": "database_unavailable", "message": "It was away."}
        transitions.release(tx, lost, count_attempt=True, error=away)
    for number in (2, 3):
        run_and_kill(workplace, job)
        ended = workplace.read(job)
        assert (ended.attempt, ended.status) == (number, "queued" if number < 3 else "failed")
    assert ended.error is not None
    assert ended.error["code"] == "process_killed"
    assert "hidden_multiplier" not in ended.error["message"]
    codes = [one.data.get("code") for one in workplace.events(job) if one.type == "job.requeued"]
    assert codes == ["database_unavailable", "process_killed"]


def run_and_kill(workplace: Workplace, job: Job) -> None:
    """Run the job once it is due; its process gets one SIGKILL while it trains."""
    wait_until(lambda: is_due(workplace, job))
    with workplace.running(job):
        wait_until(lambda: workplace.read(job).stage == "training")
        for child in children():
            child.kill()


def is_due(workplace: Workplace, job: Job) -> bool:
    with workplace.store.database.read() as tx:
        return job.id in transitions.due(tx, job.queue, limit=1)

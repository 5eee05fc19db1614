"""What a job will take is known before it starts, and one that cannot fit is refused at once."""

from pathlib import Path

import pytest

from nmtune import TuneConfig, resolve
from nmtune.peak_memory import peak_bytes
from tests.workers.support import Workplace, wait_until
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
    with pytest.raises(InsufficientMemoryError, match=r"about 9.0 GB .* has 8.2 GB left"):
        memory.check(9_000_000_000)
    memory.check(8_000_000_000)


def test_a_job_that_cannot_fit_says_what_it_needs(workplace: Workplace) -> None:
    settings = workplace.settings.model_copy(update={"memory_limit": 400 << 20})
    workplace = Workplace(workplace.store, settings)
    job = workplace.submit({"epochs": 1})
    first = workplace.run(job)
    assert first is not None
    assert first.status == "queued", "memory may have been short for a reason that is over"
    wait_until(lambda: workplace.run(job), seconds=20)
    failed = workplace.read(job)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "out_of_memory"
    assert failed.error["stage"] == "loading"
    assert "GB of memory" in failed.error["message"]
    assert "fewer rows" in failed.error["message"]

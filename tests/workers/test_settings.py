"""A worker's settings: bounds, and what follows from them."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from workers.settings import WorkerSettings


def test_heartbeat_is_a_quarter_of_the_lease_and_at_most_a_second(tmp_path: Path) -> None:
    assert WorkerSettings(data_dir=tmp_path, lease_seconds=2).heartbeat_seconds == 0.5
    assert WorkerSettings(data_dir=tmp_path, lease_seconds=60).heartbeat_seconds == 1


def test_slots_share_the_cores_unless_told_otherwise(tmp_path: Path) -> None:
    n_cores = len(os.sched_getaffinity(0))
    assert WorkerSettings(data_dir=tmp_path).threads_per_slot == n_cores
    assert WorkerSettings(data_dir=tmp_path, slots=64).threads_per_slot == max(1, n_cores // 64)
    assert WorkerSettings(data_dir=tmp_path, slots=2, n_threads=3).threads_per_slot == 3


def test_memory_limit_is_read_in_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMTUNE_MEMORY_LIMIT", "2GiB")
    assert WorkerSettings(data_dir=tmp_path).memory_limit == 2 << 30


@pytest.mark.parametrize(
    ("name", "value"),
    [("slots", 0), ("lease_seconds", 0.1), ("poll_seconds", 0), ("device", "tpu")],
)
def test_values_out_of_bounds_are_refused(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        WorkerSettings.model_validate({"data_dir": tmp_path, name: value})


@pytest.mark.parametrize(
    ("written", "meant"),
    [("after_job", "after_job"), ("true", "always"), ("1", "always"), ("False", "never")],
)
def test_standby_takes_the_yes_or_no_that_it_once_was(
    written: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert WorkerSettings(data_dir=tmp_path).standby == "after_job"
    monkeypatch.setenv("NMTUNE_STANDBY", written)
    assert WorkerSettings(data_dir=tmp_path).standby == meant
    monkeypatch.setenv("NMTUNE_STANDBY", "sometimes")
    with pytest.raises(ValidationError, match="standby"):
        WorkerSettings(data_dir=tmp_path)

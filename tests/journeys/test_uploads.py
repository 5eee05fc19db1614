"""What an upload in parts survives: kill -9 of the API at each step, and of the client."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nmtune_client import APIConnectionError, Client, NotFoundError, RetryPolicy
from nmtune_client._datasets import upload as _upload

from tests.support.processes import Process, Site
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

PART_BYTES = 65_536
SMALL_PARTS = {"NMTUNE_UPLOAD_PART_BYTES": str(PART_BYTES)}


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Random rows of 48 MiB, large enough for the command to send them in parts."""
    random = np.random.default_rng(0)
    x = random.standard_normal((24_000, 512), dtype=np.float32)
    path = tmp_path / "large.npz"
    np.savez(path, train_x=x, train_y=np.arange(len(x)) % 3, class_names=np.array(list("abc")))
    return path


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """As `large`, of 1 MiB."""
    x = np.random.default_rng(0).standard_normal((4000, 64), dtype=np.float32)
    path = tmp_path / "medium.npz"
    np.savez(path, train_x=x, train_y=np.arange(len(x)) % 3, class_names=np.array(list("abc")))
    return path


def same_as_at_once(process: Process, path: Path, sha256: str | None) -> bool:
    """Whether the file sent in one piece makes the same bytes."""
    return process.client.datasets.upload(path, name="direct").sha256 == sha256


@pytest.mark.parametrize(
    ("failpoint", "expected"), [("upload.part_stored", 0), ("upload.part_recorded", PART_BYTES)]
)
def test_an_api_killed_beside_a_part_loses_at_most_that_part(
    site: Site, medium: Path, monkeypatch: pytest.MonkeyPatch, failpoint: str, expected: int
) -> None:
    """Between a part's bytes and its row; and behind the row, before the answer."""
    monkeypatch.setattr(_upload, "_PAUSES_SECONDS", ())
    killed = site.start("up", NMTUNE_FAILPOINT=f"{failpoint}:kill", **SMALL_PARTS)
    with (
        Client(killed.url, retry=RetryPolicy(tries=1)) as client,
        pytest.raises(APIConnectionError),
    ):
        client.datasets.upload(medium, resumable_bytes=0)
    wait_until(lambda: not killed.is_running())
    killed.kill()
    seen: list[int] = []
    process = site.start(**SMALL_PARTS)
    dataset = process.client.datasets.upload(
        medium, resumable_bytes=0, progress=lambda n_sent, _: seen.append(n_sent)
    )
    assert seen[0] == expected
    assert same_as_at_once(process, medium, dataset.sha256)


def test_an_api_killed_in_the_middle_takes_the_rest_later(site: Site, medium: Path) -> None:
    first = site.start(**SMALL_PARTS)

    class Killed(Exception):  # noqa: N818  not to be taken for an answer
        pass

    def kill(n_sent: int, _n_bytes: int) -> None:
        if n_sent >= 5 * PART_BYTES:
            first.kill()
            raise Killed

    with pytest.raises(Killed):
        first.client.datasets.upload(medium, resumable_bytes=0, progress=kill)
    seen: list[int] = []
    second = site.start(**SMALL_PARTS)
    dataset = second.client.datasets.upload(
        medium, resumable_bytes=0, progress=lambda n_sent, _: seen.append(n_sent)
    )
    assert seen[0] == 5 * PART_BYTES
    assert same_as_at_once(second, medium, dataset.sha256)
    kept = [path.name for path in (site.data_dir / "artifacts").glob("*/??/*")]
    assert kept == [dataset.sha256]  # no part is left


@pytest.fixture
def command(large: Path) -> list[str]:
    return [sys.executable, "-m", "nmtune_client._cli.main", "datasets", "upload", str(large)]


def test_the_command_goes_on_where_it_was_interrupted(
    site: Site, large: Path, command: list[str]
) -> None:
    process = site.start(NMTUNE_UPLOAD_PART_BYTES=str(1 << 20))
    environment = {"NMTUNE_URL": process.url, "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment
    ) as interrupted:
        assert interrupted.stderr is not None
        for line in interrupted.stderr:
            if "%" in line and "  0%" not in line:
                interrupted.send_signal(signal.SIGINT)
                break
        interrupted.stderr.read()
        assert interrupted.wait(60) == 130
    done = subprocess.run(
        [*command, "--keep", "7d"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Resuming: " in done.stderr
    assert "expires" in done.stdout
    (dataset,) = process.client.datasets.list()
    assert dataset.expires_at is not None
    assert same_as_at_once(process, large, dataset.sha256)


def test_a_dataset_that_expires_under_a_running_job_goes_after_it(
    site: Site, arrays: dict[str, Any]
) -> None:
    process = site.start(NMTUNE_N_THREADS="1")
    client = process.client
    dataset = client.datasets.upload(arrays, name="pets")
    config = {"epochs": 120, "seed": 3, "batch_size": 32}
    job = client.jobs.create(dataset=dataset.id, name="pets", config=config)
    wait_until(lambda: client.jobs.get(job.id).status == "running")
    client.datasets.keep(dataset.id, 1)
    file = site.data_dir / "artifacts" / "default" / str(dataset.sha256)[:2] / str(dataset.sha256)

    def is_hidden() -> bool:
        try:
            client.datasets.get(dataset.id)
        except NotFoundError:
            return True
        return False

    wait_until(is_hidden)
    assert file.exists()
    job.wait(timeout=180)
    wait_until(lambda: not file.exists())
    assert client.jobs.report(job.id)
    assert client.heads.get("pets").versions

"""Processes that compute nothing import no science: each command and each process."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.standalone.servers import Server, job_request
from tests.support.waiting import wait_until

ROOT = Path(__file__).parent.parent

SCIENCE = {"torch", "onnxruntime", "onnx", "sklearn", "scipy", "pandas", "pyarrow", "tokenizers"}
WEB = {"fastapi", "starlette", "uvicorn", "anyio"}
DATABASE = {"sqlalchemy", "alembic", "pydantic", "pydantic_settings"}
ON_DEMAND = {"numpy", "cryptography", "httpcore2", "boto3", "celery"}

START = {"NMTUNE_POLL_SECONDS": "0.1", "NMTUNE_N_THREADS": "1", "NMTUNE_MAP_SECONDS": "0"}

Run = Callable[..., Server]


def imported(code: str, *arguments: str) -> set[str]:
    """First names of the modules that a new process has imported when `code` has ended."""
    told = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import atexit, sys\n"
            "atexit.register(lambda: sys.stderr.write('MODULES ' + ' '.join(sys.modules)))\n"
            + code,
            *arguments,
        ],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in told.stderr.rpartition("MODULES ")[2].split()}


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("NMTUNE_")}


def command(*arguments: str) -> set[str]:
    """What `nmtune-server` with these arguments has imported when it has ended."""
    return imported("from standalone.cli import main\nsys.exit(main(sys.argv[1:]))", *arguments)


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["up", "--help"]])
def test_help_and_version_wait_for_nothing(arguments: list[str]) -> None:
    assert not command(*arguments) & (SCIENCE | WEB | DATABASE | ON_DEMAND)


def test_migrate_needs_the_database_alone(tmp_path: Path) -> None:
    found = command("migrate", "--data-dir", str(tmp_path))
    assert "alembic" in found
    assert not found & (SCIENCE | WEB | ON_DEMAND)


def test_doctor_asks_torch_and_nothing_else_of_the_science(tmp_path: Path) -> None:
    found = command("doctor", "--data-dir", str(tmp_path), "--port", "0")
    assert found & SCIENCE == {"torch"}


@pytest.mark.parametrize(
    "module",
    [
        "",
        ".version",
        ".errors",
        ".vocabulary",
        ".config",
        ".training.candidates",
        ".training.peak_memory",
    ],
)
def test_configs_and_errors_come_without_torch(module: str) -> None:
    assert not imported(f"import nmtune{module}") & SCIENCE


def test_a_spectrum_in_own_state_comes_without_torch() -> None:
    """The API computes one of each dataset's sample, and torch has no state yet to be kept out."""
    code = "import numpy as np; from nmtune import spectrum; assert spectrum(np.eye(3)).entropy > 1"
    assert not imported(code) & SCIENCE


def test_the_parent_of_a_training_imports_what_it_needs_itself() -> None:
    found = imported(
        "import workers.attempt.run, workers.slots.local, workers.slots.sweep, workers.metrics"
    )
    assert "sqlalchemy" in found
    assert not found & (SCIENCE | WEB | ON_DEMAND)
    assert imported("import workers.slots.celery") & (SCIENCE | ON_DEMAND) == {"celery"}


def test_the_api_is_put_together_without_the_science() -> None:
    assert not imported("import service.app, standalone.up") & SCIENCE


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start `nmtune-server` on the test's folder; it is ended with the test."""
    servers: list[Server] = []

    def run_one(*arguments: str, **settings: str) -> Server:
        network = ["--port", "0"] if arguments[0] in {"up", "api"} else []
        process = subprocess.Popen(
            [sys.executable, "-m", "standalone", *arguments, *network, "--data-dir", str(tmp_path)],
            cwd=ROOT,
            env=environment() | START | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        servers.append(Server(process))
        return servers[-1]

    yield run_one
    for server in servers:
        if server.process.poll() is None:
            server.stop()
        server.end()


def loaded(server: Server) -> set[str]:
    """Which of the libraries a process has in its memory, by the files that it maps."""
    paths = {one.path for one in psutil.Process(server.process.pid).memory_maps()}
    return {name for name in SCIENCE if any(re.search(rf"/{name}/", path) for path in paths)}


def test_processes_at_rest_hold_no_science_and_no_child(run: Run, tmp_path: Path) -> None:
    """Also an API that takes a dataset and a job: the worker's child computes."""
    everything = run("up")
    with everything.client() as client:
        assert client.get("/readyz").status_code == 200
        assert not loaded(everything)
        assert not everything.trainings()
    everything.stop()
    worker = run("worker", NMTUNE_QUEUES="gpu")
    worker.ready_line()
    assert not loaded(worker)
    assert not worker.trainings()
    api = run("api")
    with api.client() as client:
        answer = client.post("/jobs", json=job_request())
        assert answer.status_code == 202, answer.text
        assert client.get(answer.headers["Location"]).json()["status"] == "queued"
        assert client.get("/metrics").status_code == 200
    assert not loaded(api)


@pytest.mark.slow
def test_predictions_find_the_science_there_once_there_is_a_head(run: Run) -> None:
    """The first head has it imported before anyone predicts, and the next start before it is ready.

    A process for the next job waits from the first job on, until no job came for a while.
    """
    server = run("up", NMTUNE_STANDBY_IDLE_SECONDS="10")
    with server.client() as client:
        job = client.post("/jobs", json=job_request(epochs=2), headers={"Prefer": "wait=60"})
        assert job.json()["status"] == "succeeded", job.text
        [standby] = wait_until(server.trainings)
        wait_until(lambda: {"torch", "onnxruntime"} <= loaded(server))
        assert predicted(client) == 200
        wait_until(lambda: not standby.is_running())
        assert not server.trainings()
    assert server.stop() == 0
    assert "Traceback" not in server.errors
    again = run("api")
    with again.client() as client:
        assert {"torch", "onnxruntime"} <= loaded(again)
        assert predicted(client) == 200


def predicted(client: httpx.Client) -> int:
    return client.get(
        "/predict", params={"head": "blobs", "embedding": "2,2,2,2,2,2,2,2"}
    ).status_code

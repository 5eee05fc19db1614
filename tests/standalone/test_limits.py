"""Quotas with real processes: exact, however many ask at once, on both databases."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.servers.postgres import PostgresServer
from tests.standalone.servers import Server, Start
from tests.support.places import ROOT

N_AT_ONCE = 64
ROWS = {"embeddings": [[0.0, 1.0], [1.0, 0.0]] * 4, "labels": ["a", "b"] * 4}
HEADS, JOBS, UPLOADS = 7, 12, 5

Act = Callable[[httpx.Client, int], httpx.Response]


def tenants_limits(folder: Path, url: str, *arguments: str, status: int = 0) -> str:
    """Run `nmtune-server tenants limits default`; what it prints."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "standalone", "tenants", "limits", "default"),
            *(*arguments, "--data-dir", str(folder)),
        ],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "NMTUNE_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path
) -> Iterator[str]:
    if request.param == "sqlite":
        path = tmp_path / "nmtune.db"
        path.write_bytes(sqlite_template.read_bytes())
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"test_{uuid4().hex}"
    yield server.create(name)
    server.drop(name)


def at_once(clients: list[httpx.Client], act: Act) -> Counter[str]:
    """64 requests in parallel, half to each process; how often each was answered how."""

    def one(number: int) -> str:
        answer = act(clients[number % 2], number)
        told = answer.json()
        return str(told.get("limit", answer.status_code))

    with ThreadPoolExecutor(N_AT_ONCE) as pool:
        return Counter(pool.map(one, range(N_AT_ONCE)))


def test_quotas_are_exact_under_64_requests_to_two_processes(
    start: Start, database: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    limits = {"limit_heads": HEADS, "limit_unfinished_jobs": JOBS, "usage_flush_seconds": 1}
    servers: list[Server] = [
        start("api", "--port", "0", data_dir=folder, database_url=database, **limits)
        for _ in range(2)
    ]
    with ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for server in servers]
        made = clients[0].post("/datasets", json={"name": "d", **ROWS})
        assert made.status_code == 201, made.text
        dataset_id = made.json()["id"]

        def train(name: str) -> Act:
            body = {"dataset_id": dataset_id}
            return lambda client, n: client.post("/jobs", json={**body, "name": name.format(n)})

        assert at_once(clients, train("head-{}")) == {"202": HEADS, "heads": N_AT_ONCE - HEADS}
        jobs = clients[1].get("/jobs?limit=200").json()["items"]
        assert len(jobs) == HEADS
        left = JOBS - HEADS
        found = at_once(clients, train(jobs[0]["name"]))
        assert found == {"202": left, "unfinished_jobs": N_AT_ONCE - left}
        used = clients[0].get("/usage").json()["stock"]
        assert used["heads"] == {"used": HEADS, "limit": HEADS}
        assert used["unfinished_jobs"] == {"used": JOBS, "limit": JOBS}
        # The operator's command holds at once in the transactions of both.
        room = used["stored_bytes"]["used"] + UPLOADS * 1000 + 999
        told = tenants_limits(folder, database, "--set", f"stored_bytes={room}", "heads=default")
        assert f"stored_bytes  {room:,}  of this tenant" in told
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "1000"}
        found = at_once(clients, lambda client, _: client.post("/uploads", headers=headers))
        assert found == {"201": UPLOADS, "stored_bytes": N_AT_ONCE - UPLOADS}
    for server in servers:
        assert server.stop() == 0
        assert "Traceback" not in server.errors
        assert "locked" not in server.errors


def test_the_command_shows_and_sets_limits(tmp_path: Path, sqlite_template: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "nmtune.db"
    path.write_bytes(sqlite_template.read_bytes())
    url = f"sqlite:///{path}"
    assert "heads  none  of the settings" in tenants_limits(folder, url)
    told = tenants_limits(
        folder, url, "--set", "heads=20", "stored_bytes=1.5GiB", "reads_per_second=2.5"
    )
    assert "heads  20  of this tenant" in told
    assert "stored_bytes  1,610,612,736  of this tenant" in told
    assert "reads_per_second  2.5  of this tenant" in told
    told = tenants_limits(folder, url, "--set", "heads=default", "stored_bytes=none")
    assert "heads  none  of the settings" in told
    assert "stored_bytes  none  of this tenant" in told
    for wrong, why, status in (
        ("tails=1", "There is no limit 'tails'", 1),
        ("tails=default", "There is no limit 'tails'", 1),
        ("heads=1.5", "whole number", 1),
        ("reads_per_second=0", "above 0", 1),
        ("heads=-1", "write a limit such as", 2),
        ("heads=many", "write a limit such as", 2),
        ("heads", "write a limit such as", 2),
    ):
        assert why in tenants_limits(folder, url, "--set", wrong, status=status), wrong
    assert "reads_per_second  2.5" in tenants_limits(folder, url)

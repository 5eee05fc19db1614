"""Keys with real processes: made by the command, taken back everywhere, and never written down."""

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from standalone.times import duration, lifetime, overlap
from standalone.up import OFF
from store.access import secrets
from tests.standalone.servers import Server, Start, job_request
from tests.support.places import ROOT
from tests.support.waiting import wait_until


def command(folder: Path, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `nmtune-server` on a data folder to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "standalone", *arguments, "--data-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture
def folder(tmp_path: Path, sqlite_template: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "nmtune.db").write_bytes(sqlite_template.read_bytes())
    return folder


def test_the_commands_of_keys_and_tenants(folder: Path) -> None:
    made = command(folder, "keys", "create", "ops", "--scopes", "admin")
    key = made.stdout.strip()
    assert secrets.is_key(key)
    assert key not in made.stderr
    assert "cannot be shown again" in made.stderr
    web = ("keys", "create", "web", "--scopes", "predict", "--heads", "pets,cars")
    command(folder, *web, "--expires", "never")
    listed = command(folder, "keys", "list").stdout
    assert f"nmk_...{key[-4:]}" in listed
    assert "predict only pets,cars  never ends  never used" in listed
    assert key not in listed
    key_id = next(line.split()[0] for line in listed.splitlines() if "ops" in line)
    refused = command(folder, "keys", "revoke", key_id, status=1)
    assert "last key with the scope admin" in refused.stderr
    rotated = command(folder, "keys", "rotate", key_id, "--overlap", "0s")
    assert secrets.is_key(rotated.stdout.strip())
    assert "The old one ends" in rotated.stderr
    command(folder, "tenants", "create", "lab")
    unnamed = command(folder, "keys", "list", status=1)
    assert "--tenant (default, lab)" in unnamed.stderr
    assert "lab has no keys" in command(folder, "keys", "list", "--tenant", "lab").stdout
    assert command(folder, "keys", "list", "--tenant", "nobody", status=1).stderr
    command(folder, "tenants", "disable", "lab")
    assert "lab  disabled" in command(folder, "tenants", "list").stdout
    command(folder, "tenants", "enable", "lab")
    assert "lab  enabled" in command(folder, "tenants", "list").stdout
    command(folder, "keys", "create", "ci", "--scopes", "read", "--tenant", "lab")
    acts = command(folder, "audit", "--tenant", "lab").stdout.splitlines()
    assert [json.loads(line)["action"] for line in acts] == [
        "key.made", "tenant.enabled", "tenant.disabled", "tenant.created",
    ]  # fmt: skip
    assert {json.loads(line)["actor_kind"] for line in acts} == {"operator"}
    assert "--tenant" in command(folder, "audit", status=1).stderr
    told = command(folder, "tenants", "delete", "lab", status=2).stdout
    assert re.search(r"^ +1  api_keys$", told, re.MULTILINE)
    assert re.search(r"^ +4  audit$", told, re.MULTILINE)
    assert "Nothing was deleted" in told
    assert "lab" in command(folder, "tenants", "list").stdout
    assert "so is the tenant lab" in command(folder, "tenants", "delete", "lab", "--yes").stdout
    assert "lab" not in command(folder, "tenants", "list").stdout
    assert "lab" in command(folder, "tenants", "delete", "lab", "--yes", status=1).stderr


WRONG = {
    "no scopes": ["keys", "create", "a"],
    "a wrong time": ["keys", "create", "a", "--scopes", "read", "--expires", "soon"],
    "a long overlap": ["keys", "rotate", "key_x", "--overlap", "8d"],
    "no action": ["keys"],
    "whose sessions": ["sessions", "end"],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_options_are_told(folder: Path, wrong: str) -> None:
    assert "error:" in command(folder, *WRONG[wrong], status=2).stderr


def test_times() -> None:
    assert [duration(text) for text in ("30s", "15m", "12h", "90d")] == [30, 900, 43_200, 7_776_000]
    assert lifetime("never") is None
    assert overlap("7d") == 7 * 86_400


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def asked(client: httpx.Client, key: str, method: str = "GET", path: str = "/jobs") -> int:
    return client.request(method, path, headers=bearer(key)).status_code


def test_a_key_is_taken_back_in_both_processes(start: Start, folder: Path, tmp_path: Path) -> None:
    """One revokes by HTTP, then the command does; the other process hears of it by itself."""
    admin = command(folder, "keys", "create", "ops", "--scopes", "admin").stdout.strip()
    one, two = (
        start("api", "--port", "0", data_dir=folder, auth="on", log_level="info") for _ in range(2)
    )
    with one.client() as here, two.client() as there:
        assert here.get("/jobs").status_code == 401
        made = here.post(
            "/keys",
            json={"name": "ci", "scopes": ["read"]},
            headers=bearer(admin),
        ).json()
        key = made["key"]
        assert asked(there, key) == asked(here, key) == 200
        job = here.post("/jobs", json=job_request(), headers=bearer(admin)).json()["id"]
        path, headers = f"/jobs/{job}/events", {**bearer(key), "Accept": "text/event-stream"}
        with there.stream("GET", path, headers=headers) as stream:
            lines = stream.iter_lines()
            assert next(lines) == "event: job.queued"
            assert asked(here, admin, "DELETE", f"/keys/{made['id']}") == 200
            assert asked(here, key) == 401
            wait_until(lambda: asked(there, key) == 401)
            assert not [line for line in lines if line.startswith("event:")]  # it ends
        other = command(folder, "keys", "create", "batch", "--scopes", "read")
        key_id = re.findall(r"key_[0-9a-z]+", other.stderr)[-1]
        batch = other.stdout.strip()
        assert asked(here, batch) == asked(there, batch) == 200
        command(folder, "keys", "revoke", key_id)
        wait_until(lambda: asked(here, batch) == asked(there, batch) == 401)
        assert asked(there, admin) == 200
        for server in (one, two):
            assert admin not in " ".join(psutil.Process(server.process.pid).cmdline())
    for server in (one, two):
        server.stop()
    _written_nowhere(folder, [one, two], [admin, key, batch])


def _written_nowhere(folder: Path, servers: list[Server], keys: list[str]) -> None:
    """No log line and no file of the data folder, the database's dump included, has a key."""
    with sqlite3.connect(folder / "nmtune.db") as database:
        dump = "\n".join(database.iterdump())
    database.close()
    texts = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    texts |= {"dump": dump.encode(), "logs": "".join(one.errors for one in servers).encode()}
    assert b"api_keys" in texts["dump"]
    for key in keys:
        for name, content in texts.items():
            assert key.encode() not in content, name
            assert key[4:-6].encode() not in content, name


def test_the_operator_ends_sessions(start: Start, folder: Path) -> None:
    key = command(folder, "keys", "create", "ops", "--scopes", "read").stdout.strip()
    server = start("api", "--port", "0", data_dir=folder, auth="on")
    with server.client() as client:
        answer = client.post("/session", json={"key": key})
        cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
        assert client.get("/jobs", headers=cookie).status_code == 200
        listed = command(folder, "sessions", "list").stdout
        (key_id,) = re.findall(r"^(key_\w+)  since \d{4}-.* UTC  seen ", listed, re.M)
        assert command(folder, "sessions", "end", "--by", "operator").stdout.startswith("0 ended")
        assert client.get("/jobs", headers=cookie).status_code == 200
        assert command(folder, "sessions", "end", "--by", key_id).stdout.startswith("1 ended")
        assert client.get("/jobs", headers=cookie).status_code == 401
        assert asked(client, key) == 200  # the key goes on
    assert server.stop() == 0
    assert command(folder, "sessions", "end", "--all").stdout.startswith("0 ended")


def test_up_prints_a_link_that_signs_in_once(start: Start, folder: Path) -> None:
    server = start("up", "--port", "0", data_dir=folder, auth="on")
    with server.client() as client:
        assert server.process.stdout is not None
        assert "there is none yet" in server.process.stdout.readline()
        line = server.process.stdout.readline()
        assert line.startswith("Sign in once, within 10 minutes: http://127.0.0.1:")
        page, _, code = line.strip().rpartition(": ")[2].partition("#")
        assert client.get(page).status_code == 200
        answer = client.post("/session", json={"code": code})
        assert answer.status_code == 204
        cookie = answer.headers["set-cookie"].partition(";")[0]
        who = client.get("/identity", headers={"Cookie": cookie}).json()
        assert who["scopes"] == ["predict", "read", "write", "admin"]
        assert client.post("/session", json={"code": code}).status_code == 401
    server.stop()
    assert code not in server.errors


def test_off_beyond_loopback_is_warned_of(start: Start, folder: Path) -> None:
    server = start("api", "--port", "0", data_dir=folder, auth="off", host="0.0.0.0")
    server.ready_line()
    server.stop()
    assert OFF in server.errors
    quiet = start("api", "--port", "0", data_dir=folder)
    quiet.ready_line()
    quiet.stop()
    assert OFF not in quiet.errors

"""The doctor: finds what is wrong, says what to do, and is content with a sound machine."""

import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import migrations
from service.settings import ServiceSettings
from standalone.doctor import Finding, examine
from workers.settings import WorkerSettings


def findings_in(folder: Path, **settings: object) -> dict[str, Finding]:
    service = ServiceSettings.model_validate({"data_dir": folder, "port": 0, **settings})
    return {one.name: one for one in examine(service, WorkerSettings(data_dir=folder))}


def test_migrated_folder_is_sound(tmp_path: Path) -> None:
    migrations.upgrade(ServiceSettings(data_dir=tmp_path).database_url)
    found = findings_in(tmp_path)
    found.pop("sqlite", None)  # depends on the library this Python was built with
    assert {one.status for one in found.values()} <= {"ok", "warn"}
    for name in ("python", "training", "data folder", "database", "port"):
        assert found[name].status == "ok", found[name]


def test_missing_schema_is_a_warning_with_advice(tmp_path: Path) -> None:
    found = findings_in(tmp_path)["database"]
    assert found.status == "warn"
    assert "migrate" in found.advice


def test_schema_of_another_version_fails(tmp_path: Path) -> None:
    migrations.upgrade(ServiceSettings(data_dir=tmp_path).database_url)
    with closing(sqlite3.connect(tmp_path / "nmtune.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    found = findings_in(tmp_path)["database"]
    assert (found.status, "9999" in found.detail) == ("fail", True)


def test_file_that_is_no_database_fails(tmp_path: Path) -> None:
    (tmp_path / "nmtune.db").write_bytes(b"this is no database" * 100)
    assert findings_in(tmp_path)["database"].status == "fail"


def test_database_of_another_kind_fails(tmp_path: Path) -> None:
    found = findings_in(tmp_path, database_url="mysql://nobody@nowhere/none")["database"]
    assert found.status == "fail"


def test_folder_that_cannot_be_made_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = findings_in(tmp_path / "file" / "data")
    assert found["data folder"].status == "fail"
    assert "--data-dir" in found["data folder"].advice


def test_folder_that_cannot_even_be_looked_at_fails(tmp_path: Path) -> None:
    found = findings_in(tmp_path / ("x" * 300))
    assert found["data folder"].status == "fail"
    assert found["disk space"].status != "fail"


def test_port_in_use_is_a_warning(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = findings_in(tmp_path, port=taken.getsockname()[1])["port"]
    assert (found.status, "--port" in found.advice) == ("warn", True)


@pytest.mark.parametrize("device", ["cuda"])
def test_device_that_is_not_there_fails(tmp_path: Path, device: str) -> None:
    service = ServiceSettings(data_dir=tmp_path, port=0)
    workers = WorkerSettings.model_validate({"data_dir": tmp_path, "device": device})
    found = {one.name: one for one in examine(service, workers)}["training"]
    assert found.status == "ok" or "NMTUNE_DEVICE" in found.advice


def test_every_problem_has_advice(tmp_path: Path) -> None:
    for one in findings_in(tmp_path).values():
        assert bool(one.advice) is (one.status != "ok")
        assert str(one).startswith(one.status)


def test_bucket_that_cannot_be_reached_fails(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    bucket = {
        "artifacts_url": "s3://bucket/prefix",
        "s3_endpoint_url": f"http://127.0.0.1:{port}",
        "s3_access_key_id": "key",
        "s3_secret_access_key": "secret",
    }
    found = findings_in(tmp_path, **bucket)["object storage"]
    assert found.status == "fail"
    assert "NMTUNE_ARTIFACTS_URL" in found.advice

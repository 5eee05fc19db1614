"""The doctor: finds what is wrong, says what to do, and is content with a sound machine."""

import importlib.util
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import migrations
from service.settings import ServiceSettings
from standalone import doctor, doctor_services
from standalone.doctor import examine
from standalone.doctor_services import Finding
from store.database.examination import PostgresqlServer
from tests.servers.lying_provider import lying
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.support.certificates import certificate
from workers.settings import WorkerSettings


def findings_in(folder: Path, **settings: object) -> dict[str, Finding]:
    service = ServiceSettings.model_validate({"data_dir": folder, "port": 0, **settings})
    return {one.name: one for one in examine(service, WorkerSettings(data_dir=folder))}


def test_migrated_folder_is_sound(tmp_path: Path) -> None:
    migrations.upgrade(ServiceSettings(data_dir=tmp_path).database_url)
    found = findings_in(tmp_path)
    found.pop("sqlite", None)  # depends on the library this Python was built with
    assert {one.status for one in found.values()} <= {"ok", "warn"}
    assert "broker" not in found
    for name in ("python", "data folder", "database", "clock", "artifacts", "port"):
        assert found[name].status == "ok", found[name]


def test_what_local_minilm_lacks_is_a_warning_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert findings_in(tmp_path)["local-minilm"].status == "ok"
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tokenizers" else find(name)
    )
    found = findings_in(tmp_path)["local-minilm"]
    assert found.status == "warn"
    assert "tokenizers" in found.advice
    assert "pip install" in found.advice


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


def test_schema_of_an_older_version_says_how_far_it_is(tmp_path: Path) -> None:
    url = ServiceSettings(data_dir=tmp_path).database_url
    migrations.upgrade(url)
    assert migrations.pending(migrations.head_revision()) == []
    first = migrations.pending("0001")
    assert first is not None
    if not first:
        pytest.skip("there is one migration only")
    migrations.downgrade(url, "0001")
    assert f"{len(first)} migrations before" in findings_in(tmp_path)["database"].detail


def test_artifacts_that_cannot_be_written_fail(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = findings_in(tmp_path, artifacts_dir=tmp_path / "file" / "artifacts")["artifacts"]
    assert found.status == "fail"
    assert found.advice


@pytest.mark.parametrize(
    ("url", "status", "detail"),
    [
        ("redis://:canary@127.0.0.1:{port}/0", "warn", "redis://127.0.0.1:"),
        ("canary", "fail", "not a Redis URL"),
        ("amqp://user:canary@host//", "fail", "not a Redis URL"),
        ("redis://:canary@host:port", "fail", "not a Redis URL"),
    ],
)
def test_a_broker_that_does_not_answer_is_told_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, status: str, detail: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("NMTUNE_BROKER_URL", url.format(port=port))
    found = findings_in(tmp_path)["broker"]
    assert found.status == status
    assert detail in found.detail
    assert found.advice
    assert "canary" not in str(found)


def test_a_broker_that_answers_is_sound_and_a_wrong_password_is_told(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path)
    try:
        found = doctor_services.message_broker(redis.url)
        assert found is not None
        assert (found.status, found.detail) == ("ok", f"redis://127.0.0.1:{redis.port} answers")
        wrong = doctor_services.message_broker(f"redis://:canary@127.0.0.1:{redis.port}/0")
        assert wrong is not None
        assert (wrong.status, "Error" in wrong.detail) == ("warn", True)
    finally:
        redis.stop()


@pytest.mark.slow
def test_postgresql_is_looked_at_whole(tmp_path: Path) -> None:
    server = PostgresServer()
    try:
        migrations.upgrade(server.url())
        found = findings_in(tmp_path, database_url=server.url())
        for name in ("database", "postgresql", "clock", "artifacts"):
            assert found[name].status == "ok", found[name]
        assert "of 57 open; each process takes up to 16" in found["connections"].detail
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("max_connections", "status"), [(97, "ok"), (32, "ok"), (31, "warn"), (10, "warn")]
)
def test_connections_of_postgresql_are_set_against_the_pools(
    max_connections: int, status: str
) -> None:
    server = PostgresqlServer(version="15.3", major=15, max_connections=max_connections, n_open=4)
    found = doctor_services.connections(server, pool_size=16)
    assert (found.status, bool(found.advice)) == (status, status != "ok")


def test_an_old_postgresql_is_a_warning() -> None:
    server = PostgresqlServer(version="11.2", major=11, max_connections=97, n_open=4)
    assert doctor_services.version(server).status == "warn"


@pytest.mark.parametrize(("seconds", "status"), [(0.4, "ok"), (-90.0, "warn"), (3600.0, "warn")])
def test_a_clock_that_differs_is_a_warning(seconds: float, status: str) -> None:
    found = doctor_services.clock(seconds)
    assert found.status == status
    assert ("behind" in found.detail) is (seconds < -2)


@pytest.mark.parametrize(
    ("n_bytes", "status", "detail"),
    [
        (8 << 30, "ok", "8.0 GiB available"),
        (1 << 30, "warn", "1.0 GiB available"),
        (None, "ok", "unknown on this system"),
    ],
)
def test_little_memory_is_a_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    n_bytes: int | None,
    status: str,
    detail: str,
) -> None:
    monkeypatch.setattr(doctor.memory, "available_bytes", lambda: n_bytes)
    found = findings_in(tmp_path)["memory"]
    assert (found.status, detail in found.detail) == (status, True)


def test_a_gpu_that_torch_does_not_use_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "version"
    driver.touch()
    monkeypatch.setattr(doctor, "NVIDIA_DRIVER", driver)
    monkeypatch.setattr(doctor.machine, "describe", lambda _: "torch 2.13.0 on cpu with 8 threads")
    assert findings_in(tmp_path)["training"].status == "warn"


def test_bucket_that_cannot_be_reached_fails(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    bucket = {
        "artifacts_url": "s3://bucket/prefix",
        "s3_endpoint_url": f"http://127.0.0.1:{port}",
        "s3_access_key_id": "key",
        "s3_secret_access_key": "secret",
    }
    found = findings_in(tmp_path, **bucket)["artifacts"]
    assert found.status == "fail"
    assert "docs/run/object-storage.md" in found.advice


@pytest.mark.parametrize(
    ("auth", "host", "status"),
    [("auto", "127.0.0.1", "ok"), ("auto", "0.0.0.0", "ok"), ("off", "0.0.0.0", "warn")],
)
def test_a_server_open_to_others_is_a_warning(
    tmp_path: Path, auth: str, host: str, status: str
) -> None:
    found = findings_in(tmp_path, auth=auth, host=host)["keys"]
    assert found.status == status
    assert ("nmtune-server keys create" in found.advice) == (status == "warn")


def test_a_certificate_is_tried(tmp_path: Path) -> None:
    assert "tls" not in findings_in(tmp_path)
    files, other = certificate(tmp_path), certificate(tmp_path, name="other")
    fits = findings_in(tmp_path, tls_cert=files.cert, tls_key=files.key)["tls"]
    assert fits.status == "ok"
    wrong = findings_in(tmp_path, tls_cert=files.cert, tls_key=other.key)["tls"]
    assert wrong.status == "fail"
    assert "does not belong to the certificate" in wrong.detail


def test_the_identity_provider_is_asked(tmp_path: Path) -> None:
    assert "sign-in" not in findings_in(tmp_path)
    chosen = {"oidc_client_id": "nmtune", "oidc_groups": '{"team": "default:read"}'}
    with lying() as provider:
        found = findings_in(tmp_path, oidc_issuer=provider.issuer, **chosen)["sign-in"]
        assert (found.status, found.detail) == ("ok", f"{provider.issuer} answers")
    found = findings_in(tmp_path, oidc_issuer=provider.issuer, **chosen)["sign-in"]
    assert found.status == "warn"
    assert "cannot be asked" in found.detail

"""The command: its help, its exit statuses, and messages that say what to do."""

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from standalone.cli import main

NOBODY = 65534


@pytest.mark.parametrize("command", [[], ["up"], ["api"], ["worker"], ["migrate"], ["doctor"]])
def test_help_explains_each_command(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "usage: nmtune-server" in text
    assert ("--data-dir" in text) is bool(command)
    assert ("--port" in text) is (command in (["up"], ["api"], ["doctor"]))


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["up", "--port", "many"], ["up", "--log-level", "loud"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.startswith("nmtune-server ")


def test_setting_out_of_bounds_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["up", "--data-dir", str(tmp_path), "--port", "99999"]) == 2
    assert "setting port:" in capsys.readouterr().err
    monkeypatch.setenv("NMTUNE_SLOTS", "none")
    assert main(["worker", "--data-dir", str(tmp_path)]) == 2
    assert "setting slots:" in capsys.readouterr().err


def test_migrate_makes_the_schema_and_may_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["migrate", "--data-dir", str(tmp_path / "new")]) == 0
        assert "The database is at schema" in capsys.readouterr().out
    assert (tmp_path / "new" / "nmtune.db").exists()


@pytest.mark.parametrize("command", [["worker"], ["api", "--port", "0"]])
def test_doors_refuse_a_database_without_schema(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--data-dir", str(tmp_path)]) == 1
    assert "nmtune-server migrate" in capsys.readouterr().err


def test_database_that_cannot_be_reached_is_one_line_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NMTUNE_DATABASE_URL", "mysql://nobody@nowhere/none")
    assert main(["migrate", "--data-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("nmtune-server: ")


@contextmanager
def without_roots_rights() -> Iterator[None]:
    """Root may write into any folder: be somebody else meanwhile."""
    mine = os.getresuid()
    if mine[1] == 0:
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(*mine)


@pytest.mark.parametrize("has_database", [True, False])
def test_a_read_only_data_folder_is_named_with_what_to_do(
    capsys: pytest.CaptureFixture[str], *, has_database: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name) / "data"
        folder.mkdir()
        Path(name).chmod(0o755)
        migrate = ["migrate", "--data-dir", str(folder)]
        if has_database:
            assert main(migrate) == 0
            (folder / "nmtune.db").chmod(0o644)
        folder.chmod(0o555)
        with without_roots_rights():
            status = main(migrate)
        folder.chmod(0o755)
    error = capsys.readouterr().err
    assert status == 1
    assert f"The data folder {folder} is read-only" in error
    assert "--data-dir" in error


def test_doctor_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--data-dir", str(tmp_path), "--port", "0"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert [set(one) for one in findings] == [{"name", "status", "detail", "advice"}] * len(
        findings
    )


def test_port_in_use_is_one_clear_line_and_nothing_is_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["up", "--port", str(port), "--data-dir", str(tmp_path / "new")]) == 1
    assert capsys.readouterr().err == (
        f"nmtune-server: Port {port} is in use, maybe by another nmtune-server. Stop it, or "
        "choose another port with --port (0 lets the system choose).\n"
    )
    assert not (tmp_path / "new").exists()


def test_host_that_is_not_ours_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "--host", "192.0.2.1", "--port", "0", "--data-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("nmtune-server: Cannot listen on 192.0.2.1:0")

"""The folder of an attempt: whole files, restored checkpoints, and nothing left behind."""

from pathlib import Path

import pytest

from store.bytes.local import LocalArtifacts
from workers.folder import open_workdir, remove_abandoned


@pytest.fixture
def artifacts(tmp_path: Path) -> LocalArtifacts:
    return LocalArtifacts(tmp_path / "artifacts")


def test_folder_is_empty_at_first_private_and_gone_afterwards(tmp_path: Path) -> None:
    (tmp_path / "job.1").mkdir()
    (tmp_path / "job.1" / "of_a_killed_worker").touch()
    with open_workdir(tmp_path, "job.1") as workdir:
        assert not workdir.has("of_a_killed_worker")
        assert workdir.path.stat().st_mode & 0o777 == 0o700
    assert not workdir.path.exists()


def test_folder_is_gone_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_workdir(tmp_path, "job.1") as workdir:
        raise ZeroDivisionError
    assert not workdir.path.exists()


def test_restore_brings_back_what_is_sound_and_leaves_out_the_rest(
    tmp_path: Path, artifacts: LocalArtifacts
) -> None:
    sound = artifacts.put_bytes("default", b"sound").sha256
    with open_workdir(tmp_path / "work", "job.1") as workdir:
        workdir.restore(artifacts, "default", {"kept": sound, "lost": "0" * 64})
        assert workdir.read_bytes("kept") == b"sound"
        assert not workdir.has("lost")


def test_moved_file_may_be_written_again_at_once(tmp_path: Path, artifacts: LocalArtifacts) -> None:
    with open_workdir(tmp_path / "work", "job.1") as workdir:
        workdir.write_bytes("state", b"first")
        first = workdir.move(artifacts, "default", "state")
        assert not workdir.has("state")
        workdir.write_bytes("state", b"second")
        second = workdir.move(artifacts, "default", "state")
    assert artifacts.get_bytes("default", first.sha256) == b"first"
    assert artifacts.get_bytes("default", second.sha256) == b"second"


def test_only_folders_without_an_owner_are_abandoned(tmp_path: Path) -> None:
    dead = tmp_path / "dead.1"
    dead.mkdir()
    (dead / "lock").touch()
    with open_workdir(tmp_path, "alive.1") as alive:
        assert remove_abandoned(tmp_path) == 1
        assert alive.path.exists()
    assert not dead.exists()


def test_folder_that_another_worker_removes_first_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "glob", lambda root, _pattern: [root / "dead.1" / "lock"])
    assert remove_abandoned(tmp_path) == 0


def test_nothing_is_abandoned_where_nothing_is(tmp_path: Path) -> None:
    assert remove_abandoned(tmp_path / "never_made") == 0

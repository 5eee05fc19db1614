"""Names, ids, states, errors and settings: the store's plain values."""

import inspect
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import make_url

from store import errors, names, states
from store.errors import InvalidName, StoreError
from store.ids import new_id
from store.settings import StoreSettings
from store.states import FINAL, MOVES, JobStatus


@pytest.mark.parametrize("name", ["a", "9", "Pets-v1.2_x", "a" * 64, "0..1"])
def test_names_that_obey_the_rule_pass(name: str) -> None:
    assert names.check_name("job", name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../etc",
        "a/b",
        "a\\b",
        "-a",
        "_a",
        "a b",
        "a\n",
        "a\0",
        "ä",
        "a" * 65,
        "a@b",
        "😀",
    ],
)
def test_names_that_break_the_rule_are_refused_with_the_rule(name: str) -> None:
    with pytest.raises(InvalidName, match="1 to 64 letters, digits"):
        names.check_name("job", name)


@pytest.mark.parametrize("alias", ["latest", "3", "0012"])
def test_aliases_that_mean_something_else_are_refused(alias: str) -> None:
    with pytest.raises(InvalidName, match="Choose a word"):
        names.check_alias(alias)


def test_ids_have_their_prefix_and_26_characters_and_sort_by_time() -> None:
    ids = [new_id("job") for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert {len(id_) for id_ in ids} == {len("job_") + 26}
    assert all(names.is_name(id_) for id_ in ids)


def test_every_final_status_and_no_other_has_no_way_out() -> None:
    assert {status for status, targets in MOVES.items() if not targets} == FINAL
    assert set(MOVES) == set(JobStatus)
    assert all(status.is_final == (status in FINAL) for status in JobStatus)
    assert states.__doc__ is not None
    assert all(status.value in states.__doc__ for status in JobStatus)


def test_every_error_has_a_code_of_its_own_that_the_tree_shows() -> None:
    classes = [
        cls
        for _, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, StoreError) and cls is not StoreError
    ]
    codes = [cls.code for cls in classes]
    shared = {code for code in codes if codes.count(code) > 1}
    # One thing to a user each: a full disk, whatever it holds, and a quota, of stock or of a month.
    assert shared == {"storage_full", "quota_exceeded"}
    assert errors.__doc__ is not None
    for cls in classes:
        assert f"{cls.__name__} " in errors.__doc__
        assert cls.code in errors.__doc__


def test_settings_put_everything_below_one_absolute_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NMTUNE_DATA_DIR", raising=False)
    monkeypatch.delenv("NMTUNE_DATABASE_URL", raising=False)
    settings = StoreSettings()
    assert settings.data_dir == tmp_path / "nmtune-data"
    assert settings.database_url == f"sqlite:///{tmp_path}/nmtune-data/nmtune.db"
    assert settings.artifacts_dir == tmp_path / "nmtune-data" / "artifacts"
    assert list(tmp_path.iterdir()) == [], "reading settings writes nothing"


def test_settings_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NMTUNE_DATA_DIR", str(tmp_path / "a"))
    monkeypatch.setenv("NMTUNE_DATABASE_URL", "postgresql://db/nmtune")
    monkeypatch.setenv("NMTUNE_ARTIFACTS_DIR", str(tmp_path / "b"))
    settings = StoreSettings()
    assert settings.database_url == "postgresql://db/nmtune"
    assert settings.artifacts_dir == tmp_path / "b"
    with pytest.raises(ValidationError):
        setattr(settings, "data_dir", tmp_path)  # noqa: B010  a checker refuses the plain form


@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters="\0/?"), min_size=1, max_size=20)
)
def test_the_default_database_is_in_the_data_folder_whatever_its_name(name: str) -> None:
    settings = StoreSettings(data_dir=Path("/data") / name)
    assert make_url(settings.database_url).database == str(Path("/data") / name / "nmtune.db")


def test_a_folder_that_a_database_url_cannot_name_is_refused() -> None:
    with pytest.raises(ValidationError, match="must not contain"):
        StoreSettings(data_dir=Path("/data/what?"))

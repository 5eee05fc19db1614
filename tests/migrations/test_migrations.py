"""The schema's history: up, down, up again, by many at once, and what it must come to."""

import io
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

import migrations
from store.database.connection import Database
from store.database.tables import metadata
from store.errors import SchemaMismatch, StoreError
from tests.support.places import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "nmtune.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


def objects(path: Path) -> dict[str, list[str]]:
    """Name to SQL, in parts without order or spaces, of all in the file but Alembic's own table."""
    connection = sqlite3.connect(path)
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    rows = connection.execute(query).fetchall()
    connection.close()
    return {name: parts(sql) for name, sql in rows if name != "alembic_version"}


def parts(sql: str) -> list[str]:
    """The columns and constraints of a CREATE statement, sorted."""
    found, depth = [""], 0
    for character in "".join(sql.split()):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 1:
            found.append("")
        else:
            found[-1] += character
    first, last = found[0].partition("(")[2], found[-1]
    return sorted([first, *found[1:-1], last.removesuffix(")")] if found[1:] else found)


def test_upgrade_makes_the_folder_the_file_and_the_schema(path: Path, url: str) -> None:
    migrations.upgrade(url)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    database = Database.open(url)
    assert database.schema_revision() == migrations.head_revision()
    database.close()


def test_upgrading_again_changes_nothing(path: Path, url: str) -> None:
    migrations.upgrade(url)
    before = objects(path)
    migrations.upgrade(url)
    assert objects(path) == before


def test_the_history_comes_to_the_tables_of_the_code(url: str) -> None:
    """What `alembic check` asks."""
    migrations.upgrade(url)
    database = Database.open(url)
    with database.read() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    database.close()


def test_constraints_and_partial_indices_are_those_of_the_code(
    path: Path, url: str, tmp_path: Path
) -> None:
    """Alembic's comparison does not see CHECKs and index conditions; the SQL itself does."""
    migrations.upgrade(url)
    direct = Database.open(f"sqlite:///{tmp_path}/direct.db")
    with direct.begin() as tx:
        metadata.create_all(tx)
    direct.close()
    assert objects(path) == objects(tmp_path / "direct.db")


def test_downgrade_takes_everything_back_and_upgrade_makes_it_again(path: Path, url: str) -> None:
    migrations.upgrade(url)
    before = objects(path)
    migrations.downgrade(url, "base")
    assert objects(path) == {}
    migrations.upgrade(url)
    assert objects(path) == before


def test_a_database_of_a_newer_version_is_left_alone(path: Path, url: str) -> None:
    migrations.upgrade(url)
    before = objects(path)
    database = Database.open(url)
    with database.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    for change in (migrations.upgrade, lambda url: migrations.downgrade(url, "base")):
        with pytest.raises(SchemaMismatch, match=r"9999.*newer version.*backup"):
            change(url)
    assert objects(path) == before


def test_a_migration_that_breaks_leaves_the_schema_as_it_was(path: Path, url: str) -> None:
    """A view of the name of a later table makes the first revision fail in its middle."""
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE VIEW head_versions AS SELECT 1")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError):
        migrations.upgrade(url)
    assert list(objects(path)) == ["head_versions"]
    connection = sqlite3.connect(path)
    connection.execute("DROP VIEW head_versions")
    connection.commit()
    connection.close()
    migrations.upgrade(url)
    assert "head_versions" in objects(path)


def test_a_migration_may_not_break_foreign_keys(url: str) -> None:
    migrations.upgrade(url)
    database = Database.open(url)

    def orphan_an_alias() -> None:
        with database.schema_change() as connection:
            connection.execute(
                text(
                    "INSERT INTO head_aliases "
                    "(tenant_id, name, alias, version, history, updated_at) "
                    "VALUES ('default', 'pets', 'prod', 1, '[]', '2026-01-01 00:00:00.000000')"
                )
            )

    with pytest.raises(StoreError, match="foreign keys"):
        orphan_an_alias()
    with database.begin() as tx:
        assert tx.execute(text("SELECT count(*) FROM head_aliases")).scalar_one() == 0
        assert tx.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
    database.close()


def test_processes_that_start_together_all_find_a_whole_schema(path: Path, url: str) -> None:
    program = f"import migrations; migrations.upgrade({url!r})"
    processes = [subprocess.Popen([sys.executable, "-c", program], cwd=ROOT) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert "jobs" in objects(path)


def test_threads_that_start_together_all_find_a_whole_schema(path: Path, url: str) -> None:
    errors: list[BaseException] = []
    start = threading.Barrier(4)

    def upgrade() -> None:
        start.wait()
        try:
            migrations.upgrade(url)
        except BaseException as error:  # noqa: BLE001  shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=upgrade) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert "jobs" in objects(path)


@pytest.fixture
def developers_config(monkeypatch: pytest.MonkeyPatch) -> Config:
    """`alembic.ini`, printing into a buffer, without its logging (which is the test run's own)."""
    config = Config(ROOT / "alembic.ini", output_buffer=io.StringIO())
    monkeypatch.setattr("logging.config.fileConfig", lambda *_, **__: None)
    return config


def test_the_whole_history_can_be_printed_as_sql_for_postgresql(
    developers_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NMTUNE_DATABASE_URL", "postgresql+psycopg://db/nmtune")
    command.upgrade(developers_config, "head", sql=True)
    command.downgrade(developers_config, f"{migrations.head_revision()}:base", sql=True)
    assert isinstance(developers_config.output_buffer, io.StringIO)
    sql = developers_config.output_buffer.getvalue()
    for table in metadata.tables:
        assert f"CREATE TABLE {table} (" in sql
        assert f"DROP TABLE {table};" in sql
    assert "TIMESTAMP WITH TIME ZONE" in sql
    assert "TIMESTAMP WITHOUT TIME ZONE" not in sql
    assert "WHERE status = 'queued'" in sql


def test_the_developers_command_migrates_the_settings_database(
    developers_config: Config, monkeypatch: pytest.MonkeyPatch, url: str, path: Path
) -> None:
    monkeypatch.setenv("NMTUNE_DATABASE_URL", url)
    command.upgrade(developers_config, "head")
    command.check(developers_config)
    assert "jobs" in objects(path)


def test_migrations_work_from_any_folder_of_any_name_without_alembic_ini(tmp_path: Path) -> None:
    """As in an installed wheel; '%' would be read as a substitution by a careless config."""
    installed = tmp_path / "100% site"
    for package in ("store", "migrations"):
        shutil.copytree(ROOT / package, installed / package)
    program = f"import migrations; migrations.upgrade('sqlite:///{tmp_path}/n.db')"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, timeout=60
    )
    assert "jobs" in objects(tmp_path / "n.db")


def test_going_back_takes_predictions_with_their_events_and_leaves_trainings(
    path: Path, url: str
) -> None:
    """The older schema has no word for them; their outputs are the garbage collection's then."""
    migrations.upgrade(url)
    connection = sqlite3.connect(path)
    columns = (
        "id, tenant_id, name, kind, dataset_id, method, queue, precedence, turn, status, config, "
        "attempt, max_attempts, fence, checkpoint, n_events, created_at, updated_at, head_name, "
        "head_version"
    )
    for kind, head in (("training", "NULL, NULL"), ("prediction", "'pets', 1")):
        connection.execute(
            f"INSERT INTO jobs ({columns}) VALUES ('{kind}', 'default', 'pets', '{kind}', 'ds', "  # noqa: S608
            f"'mlp', 'cpu', 0, 0, 'queued', '{{}}', 0, 3, 0, '{{}}', 1, 'now', 'now', {head})"
        )
        connection.execute(
            "INSERT INTO events (tenant_id, job_id, sequence, type, data, created_at) "
            "VALUES ('default', ?, 1, 'job.queued', '{}', 'now')",
            [kind],
        )
    connection.commit()
    connection.close()
    migrations.downgrade(url, "0005")
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT id FROM jobs").fetchall() == [("training",)]
    assert connection.execute("SELECT job_id FROM events").fetchall() == [("training",)]
    connection.close()
    migrations.upgrade(url)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT id, kind FROM jobs").fetchall() == [("training", "training")]
    connection.close()

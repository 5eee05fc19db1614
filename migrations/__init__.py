"""The schema's history: bring a database to this version's schema, or back."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from store.database.connection import Database
from store.errors import SchemaMismatch

_FOLDER: Final = Path(__file__).parent


def upgrade(database_url: str) -> None:
    """Bring the database to this version's schema; a SQLite file and its folder are made first.

    Whole or not at all, and safe when several processes start together. Raises SchemaMismatch if a
    newer version has migrated the database, and DatabaseUnavailable.
    """
    _migrate(database_url, lambda config: command.upgrade(config, "head"))


def downgrade(database_url: str, revision: str) -> None:
    """Take the schema back to `revision`, or remove it with "base". Data without a place is lost.

    Raises as `upgrade` does.
    """
    _migrate(database_url, lambda config: command.downgrade(config, revision))


def head_revision() -> str:
    """The schema revision this version needs."""
    return ScriptDirectory.from_config(_config()).get_heads()[0]


def pending(revision: str) -> list[str] | None:
    """The revisions that a database at `revision` lacks, oldest first; None if it is not known."""
    newest_first = [
        script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()
    ]
    if revision not in newest_first:
        return None
    return newest_first[: newest_first.index(revision)][::-1]


def _migrate(database_url: str, step: Callable[[Config], None]) -> None:
    config = _config()
    database = Database.open(database_url)
    try:
        with database.schema_change() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
            _check_known(config, current)
            config.attributes["connection"] = connection
            step(config)
    finally:
        database.close()


def _check_known(config: Config, current: str | None) -> None:
    revisions = ScriptDirectory.from_config(config).walk_revisions()
    if current is not None and current not in {script.revision for script in revisions}:
        raise SchemaMismatch(
            f"The database has schema {current}, which this version of nmtune-server does not "
            "know: a newer version has migrated it. Start that version again, or restore the "
            "backup made before its first start."
        )


def _config() -> Config:
    # In code, not from alembic.ini: an installed wheel has no working folder. A '%' would be read
    # as the beginning of a substitution.
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config

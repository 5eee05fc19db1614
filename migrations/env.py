"""Alembic's run, in the connection that `migrations` gives or the settings name."""

from logging.config import fileConfig
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection

from store.database.clock import UtcDateTime
from store.database.connection import Database
from store.database.tables import metadata
from store.settings import StoreSettings


def render_item(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Write our moment type as plain SQLAlchemy: a revision must not need our code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def run(connection: Connection) -> None:
    """Run the requested revisions in this connection's transaction."""
    # render_as_batch: SQLite alters a table by rebuilding it.
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        render_item=render_item,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_alone() -> None:
    """Run for a developer's `alembic` command: print SQL with `--sql`, else migrate."""
    if context.config.config_file_name is not None:
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    url = StoreSettings().database_url
    if context.is_offline_mode():
        context.configure(url=url, target_metadata=metadata, literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    database = Database.open(url)
    try:
        with database.schema_change() as connection:
            run(connection)
    finally:
        database.close()


if (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    run_alone()

"""The schema's history on PostgreSQL: up to the tables of the code, down to nothing, up again."""

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

import migrations
from store.database.connection import Database
from store.database.tables import metadata
from tests.servers.postgres import PostgresServer


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.stop()


def test_up_down_and_up_again_comes_to_the_tables_of_the_code(server: PostgresServer) -> None:
    database = Database.open(server.url())
    for _ in range(2):
        migrations.upgrade(server.url())
        with database.read() as tx:
            context = MigrationContext.configure(tx, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
        migrations.downgrade(server.url(), "base")
        with database.read() as tx:
            assert set(inspect(tx).get_table_names()) <= {"alembic_version"}
    database.close()


def test_each_step_goes_down_to_the_one_before(server: PostgresServer) -> None:
    database = Database.open(server.url())
    migrations.upgrade(server.url())
    migrations.downgrade(server.url(), "0001")
    assert database.schema_revision() == "0001"
    migrations.upgrade(server.url())
    assert database.schema_revision() == migrations.head_revision()
    database.close()

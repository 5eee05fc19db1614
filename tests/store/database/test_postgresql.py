"""What will run on PostgreSQL: every statement the store sends compiles for it, locks included."""

import pytest
from sqlalchemy import make_url
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from store import datasets, events, idempotency, jobs, transitions
from store.cleanup import garbage
from store.database import tables
from store.registry import head_deletion, heads
from store.registry.heads import NewHeadVersion
from store.store import Store
from tests.store.made_rows import Clause, Rows, clauses, new_head

POSTGRESQL = make_url("postgresql://").get_dialect()()
SQLITE_WORDS = ("strftime", "printf", "rowid", "sqlite_", "json_extract", "pragma", "or ignore")


def compiled(clause: Clause) -> str:
    keys = list(clause.keys) or None
    return str(clause.clause.compile(dialect=POSTGRESQL, column_keys=keys))


def head(name: str) -> NewHeadVersion:
    return new_head(name=name, alias="prod")


@pytest.fixture
def everything(store: Store, rows: Rows) -> list[str]:
    """The SQL for PostgreSQL of every operation of the store."""
    with clauses() as seen:
        store.database.ping()
        dataset = rows.dataset()
        rows.succeeded(alias="prod")
        rows.succeeded(alias="prod")
        job, other = rows.queued(dataset=dataset), rows.queued(dataset=dataset)
        with store.database.begin() as tx:
            jobs.request_cancel(tx, "default", job.id)
            claimed = transitions.claim_next(tx, worker="w", lease_seconds=60)
            assert claimed is not None
            transitions.heartbeat(
                tx,
                claimed,
                lease_seconds=60,
                stage="training",
                progress={},
                checkpoint={},
                events=[("job.progress", {})],
            )
            transitions.release(tx, claimed, delay_seconds=0)
            again = transitions.claim(tx, other.id, worker="w", lease_seconds=-1)
            assert again is not None
            transitions.sweep(tx)
            heads.set_alias(tx, "default", "pets", "prod", 1)
            heads.roll_back(tx, "default", "pets", "prod")
            idempotency.find(tx, "default", "k", request_hash="h")
            idempotency.save(tx, "default", "k", request_hash="h", status_code=202, body=b"")
        with store.database.read() as tx:
            page = jobs.page(tx, "default", limit=1, status="queued")
            page = jobs.page(tx, "default", limit=1)
            jobs.page(tx, "default", cursor=page.next_cursor)
            datasets.get(tx, "default", dataset.id)
            first = datasets.page(tx, "default", limit=1)
            datasets.page(tx, "default", cursor=first.next_cursor)
            heads.get(tx, "default", "pets")
            heads.page(tx, "default")
            for reference in ("pets", "pets@1", "pets@prod"):
                heads.resolve(tx, "default", reference)
            events.page(tx, "default", other.id)
        free = rows.dataset()
        with store.database.begin() as tx:
            datasets.delete(tx, "default", free.id)
            heads.delete_alias(tx, "default", "pets", "prod")
            head_deletion.delete_version(tx, "default", "pets", 1)
            head_deletion.delete_head(tx, "default", "pets")
        garbage.collect(store)
    # What is written for one of the two is so on purpose (`insert_or_ignore`).
    return [compiled(one) for one in seen if not isinstance(one.clause, sqlite.Insert)]


def test_every_statement_compiles_and_none_speaks_sqlite(everything: list[str]) -> None:
    assert len(set(everything)) > 40
    for sql in everything:
        for word in SQLITE_WORDS:
            assert word not in sql.lower(), sql


def test_rows_that_two_workers_want_are_locked(everything: list[str]) -> None:
    def starting(words: str) -> list[str]:
        return [sql for sql in everything if " ".join(sql.split()).startswith(words)]

    claim_next = [sql for sql in starting("UPDATE jobs SET") if "LIMIT" in sql]
    sweep = [sql for sql in starting("SELECT jobs.id") if "lease_expires_at <=" in sql]
    held = [sql for sql in starting("SELECT jobs.id") if sql.endswith("FOR UPDATE")]
    dataset = [sql for sql in starting("SELECT datasets.id") if "FOR KEY SHARE" in sql]
    deleted = [sql for sql in starting("SELECT datasets.sha256") if sql.endswith("FOR UPDATE")]
    assert claim_next
    assert sweep
    assert all("FOR UPDATE SKIP LOCKED" in sql for sql in claim_next + sweep)
    assert held
    assert dataset
    assert deleted


def test_the_tables_compile_with_their_own_types() -> None:
    made: list[ExecutableDDLElement] = []
    for table in tables.metadata.sorted_tables:
        made += [CreateTable(table), *map(CreateIndex, table.indexes)]
    sql = "\n".join(str(statement.compile(dialect=POSTGRESQL)) for statement in made)
    assert "TIMESTAMP WITH TIME ZONE" in sql
    assert "TIMESTAMP WITHOUT TIME ZONE" not in sql
    assert "BYTEA" in sql
    assert "WHERE status = 'queued'" in sql

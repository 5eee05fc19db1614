"""Versions that replace another one with a new encoder, and the jobs that make them."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_HAS_HEAD = (
    "kind <> 'migration' OR (migration IS NOT NULL AND (status <> 'succeeded' "
    "OR (head_name IS NOT NULL AND head_version IS NOT NULL)))"
)
_PREDICTION = sa.text("status = 'queued' AND kind = 'prediction'")
_OF_BRIDGES = "SELECT id FROM jobs WHERE kind = 'migration'"


def upgrade() -> None:
    with op.batch_alter_table("head_versions") as versions:
        versions.add_column(sa.Column("migrated_from", sa.Integer()))
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("migration", sa.JSON(none_as_null=True), nullable=True))
        jobs.drop_constraint(op.f("ck_jobs_kind"), type_="check")
    with op.batch_alter_table("jobs") as jobs:
        jobs.create_check_constraint(
            op.f("ck_jobs_kind"), "kind IN ('training', 'prediction', 'migration')"
        )
        jobs.create_check_constraint(op.f("ck_jobs_migration"), _HAS_HEAD)
    _prefer_predictions_index()


def _prefer_predictions_index() -> None:
    """Make it the newest: of two indexes that serve a claim, SQLite takes that one.

    A table that is made anew gets its indexes in a random order.
    """
    op.drop_index("ix_jobs_claim_prediction", "jobs")
    op.create_index(
        "ix_jobs_claim_prediction",
        "jobs",
        ["queue", "precedence", "turn", "created_at", "id"],
        sqlite_where=_PREDICTION,
        postgresql_where=_PREDICTION,
    )


def downgrade() -> None:
    """Migrations by a bridge go with their versions; those that were trained stay."""
    op.execute(
        "DELETE FROM head_aliases WHERE EXISTS (SELECT 1 FROM head_versions AS v "
        f"WHERE v.job_id IN ({_OF_BRIDGES}) AND v.tenant_id = head_aliases.tenant_id "
        "AND v.name = head_aliases.name AND v.version = head_aliases.version)"
    )
    for table in ("head_versions", "events", "job_files"):
        op.execute(f"DELETE FROM {table} WHERE job_id IN ({_OF_BRIDGES})")  # noqa: S608
    op.execute("DELETE FROM jobs WHERE kind = 'migration'")
    with op.batch_alter_table("jobs") as jobs:
        for name in ("migration", "kind"):
            jobs.drop_constraint(op.f(f"ck_jobs_{name}"), type_="check")
    with op.batch_alter_table("jobs") as jobs:
        jobs.create_check_constraint(op.f("ck_jobs_kind"), "kind IN ('training', 'prediction')")
        jobs.drop_column("migration")
    with op.batch_alter_table("head_versions") as versions:
        versions.drop_column("migrated_from")

"""Jobs of another kind: predictions of a whole file, whose output the row names."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_OLD_SUCCEEDED = (
    "status <> 'succeeded' OR (report_sha256 IS NOT NULL AND head_name IS NOT NULL "
    "AND head_version IS NOT NULL)"
)
_NEW_SUCCEEDED = (
    "status <> 'succeeded' OR kind <> 'training' OR (report_sha256 IS NOT NULL "
    "AND head_name IS NOT NULL AND head_version IS NOT NULL)"
)
_HAS_OUTPUT = "output_sha256 IS NOT NULL"


def upgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(
            sa.Column("kind", sa.String(length=16), nullable=False, server_default="training")
        )
        jobs.add_column(sa.Column("output_sha256", sa.String(length=64)))
        jobs.add_column(sa.Column("output", sa.JSON(none_as_null=True), nullable=True))
        jobs.drop_constraint(op.f("ck_jobs_succeeded"), type_="check")
    with op.batch_alter_table("jobs") as jobs:
        jobs.alter_column("kind", server_default=None)
        jobs.create_check_constraint(op.f("ck_jobs_succeeded"), _NEW_SUCCEEDED)
        jobs.create_check_constraint(
            op.f("ck_jobs_kind"), "kind IN ('training', 'prediction')"
        )
        jobs.create_check_constraint(
            op.f("ck_jobs_prediction"),
            "kind <> 'prediction' OR (head_name IS NOT NULL AND head_version IS NOT NULL)",
        )
        jobs.create_check_constraint(
            op.f("ck_jobs_output"),
            "output_sha256 IS NULL OR (kind = 'prediction' AND status = 'succeeded')",
        )
    op.create_index(
        "ix_jobs_outputs",
        "jobs",
        ["finished_at"],
        sqlite_where=sa.text(_HAS_OUTPUT),
        postgresql_where=sa.text(_HAS_OUTPUT),
    )


def downgrade() -> None:
    """Predictions go, with their events and the names of their outputs."""
    # The events by hand: while SQLite rebuilds tables, foreign keys are off.
    op.execute(
        "DELETE FROM events WHERE job_id IN (SELECT id FROM jobs WHERE kind = 'prediction')"
    )
    op.execute("DELETE FROM jobs WHERE kind = 'prediction'")
    op.drop_index("ix_jobs_outputs", "jobs")
    with op.batch_alter_table("jobs") as jobs:
        for name in ("output", "prediction", "kind", "succeeded"):
            jobs.drop_constraint(op.f(f"ck_jobs_{name}"), type_="check")
    with op.batch_alter_table("jobs") as jobs:
        jobs.create_check_constraint(op.f("ck_jobs_succeeded"), _OLD_SUCCEEDED)
        for name in ("output", "output_sha256", "kind"):
            jobs.drop_column(name)

"""Queues of their own for jobs, their priority, and fair turns between tenants."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_QUEUED = sa.text("status = 'queued'")


def upgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(
            sa.Column("queue", sa.String(length=16), nullable=False, server_default="cpu")
        )
        jobs.add_column(sa.Column("precedence", sa.Integer(), nullable=False, server_default="0"))
        jobs.add_column(sa.Column("turn", sa.BigInteger(), nullable=False, server_default="0"))
        jobs.drop_index("ix_jobs_claim")
    with op.batch_alter_table("jobs") as jobs:
        for name in ("queue", "precedence", "turn"):
            jobs.alter_column(name, server_default=None)
    op.create_index(
        "ix_jobs_claim",
        "jobs",
        ["queue", "precedence", "turn", "created_at", "id"],
        sqlite_where=_QUEUED,
        postgresql_where=_QUEUED,
    )
    op.create_index(
        "ix_jobs_turn",
        "jobs",
        ["tenant_id", "queue", "precedence", "turn"],
        sqlite_where=_QUEUED,
        postgresql_where=_QUEUED,
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_turn", "jobs")
    op.drop_index("ix_jobs_claim", "jobs")
    with op.batch_alter_table("jobs") as jobs:
        for name in ("turn", "precedence", "queue"):
            jobs.drop_column(name)
    op.create_index(
        "ix_jobs_claim",
        "jobs",
        ["created_at", "id"],
        sqlite_where=_QUEUED,
        postgresql_where=_QUEUED,
    )

"""Predictions have slots of their own: they are claimed and numbered apart from trainings."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_QUEUED = sa.text("status = 'queued'")
_PREDICTION = sa.text("status = 'queued' AND kind = 'prediction'")


def upgrade() -> None:
    op.create_index(
        "ix_jobs_claim_prediction",
        "jobs",
        ["queue", "precedence", "turn", "created_at", "id"],
        sqlite_where=_PREDICTION,
        postgresql_where=_PREDICTION,
    )
    _turn_index("tenant_id", "queue", "kind", "precedence", "turn")


def downgrade() -> None:
    _turn_index("tenant_id", "queue", "precedence", "turn")
    op.drop_index("ix_jobs_claim_prediction", "jobs")


def _turn_index(*columns: str) -> None:
    op.drop_index("ix_jobs_turn", "jobs")
    op.create_index(
        "ix_jobs_turn",
        "jobs",
        list(columns),
        sqlite_where=_QUEUED,
        postgresql_where=_QUEUED,
    )

"""Windows of what was predicted, in sums, to compare with a head's training rows."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "drift_windows",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("n_rows", sa.BigInteger(), nullable=False),
        sa.Column("sums", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "sha256", "started_at", name=op.f("pk_drift_windows")),
    )
    op.create_index("ix_drift_windows_started_at", "drift_windows", ["started_at"])


def downgrade() -> None:
    op.drop_index("ix_drift_windows_started_at", "drift_windows")
    op.drop_table("drift_windows")

"""The further files of a job beside its report: values of its rows, its map, its other heads."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_IS_STORED = "sha256 IS NOT NULL"


def upgrade() -> None:
    op.create_table(
        "job_files",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "job_id"],
            ["jobs.tenant_id", "jobs.id"],
            name=op.f("fk_job_files_tenant_id_job_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "job_id", "name", name=op.f("pk_job_files")),
    )
    op.create_index(
        "ix_job_files_created_at",
        "job_files",
        ["created_at"],
        sqlite_where=sa.text(_IS_STORED),
        postgresql_where=sa.text(_IS_STORED),
    )


def downgrade() -> None:
    op.drop_table("job_files")

"""Uploads that resume, their parts, and when a dataset is to go."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    is_set = sa.text("expires_at IS NOT NULL")
    op.create_index(
        "ix_datasets_expires_at",
        "datasets",
        ["expires_at"],
        sqlite_where=is_set,
        postgresql_where=is_set,
    )
    op.create_table(
        "uploads",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), nullable=False),
        sa.Column("n_parts", sa.Integer(), nullable=False),
        sa.Column("metadata", sa.String(length=2048), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_uploads")),
        sa.CheckConstraint(
            "received_bytes >= 0 AND received_bytes <= size_bytes", name=op.f("ck_uploads_received")
        ),
    )
    op.create_index("ix_uploads_list", "uploads", ["tenant_id", "created_at", "id"])
    op.create_index("ix_uploads_sha256", "uploads", ["tenant_id", "sha256"])
    op.create_index("ix_uploads_expires_at", "uploads", ["expires_at"])
    op.create_table(
        "upload_parts",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("upload_id", sa.String(length=40), nullable=False),
        sa.Column("begin", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "upload_id", "begin", name=op.f("pk_upload_parts")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "upload_id"],
            ["uploads.tenant_id", "uploads.id"],
            name=op.f("fk_upload_parts_tenant_id_upload_id"),
        ),
    )


def downgrade() -> None:
    op.drop_table("upload_parts")
    op.drop_table("uploads")
    op.drop_index("ix_datasets_expires_at", "datasets")
    with op.batch_alter_table("datasets") as datasets:
        datasets.drop_column("expires_at")

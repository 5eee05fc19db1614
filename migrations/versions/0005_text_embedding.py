"""Datasets of texts, the encoders that embed them, their vectors, and keys for providers."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("datasets") as datasets:
        datasets.add_column(
            sa.Column("content", sa.String(length=16), nullable=False, server_default="embeddings")
        )
    with op.batch_alter_table("datasets") as datasets:
        datasets.alter_column("content", server_default=None)
    for name in ("jobs", "head_versions"):
        op.add_column(name, sa.Column("encoder", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "encoders",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("identity", sa.String(length=64), nullable=False),
        sa.Column("encoder", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("sketch", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("n_columns", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "fingerprint", name=op.f("pk_encoders")),
    )
    op.create_index("ix_encoders_identity", "encoders", ["tenant_id", "identity"])
    op.create_table(
        "text_vectors",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("text_sha256", sa.String(length=64), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "fingerprint", "text_sha256", name=op.f("pk_text_vectors")
        ),
    )
    op.create_index("ix_text_vectors_created_at", "text_vectors", ["created_at"])
    op.create_table(
        "provider_keys",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.String(length=300), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "origin", name=op.f("pk_provider_keys")),
    )


def downgrade() -> None:
    op.drop_table("provider_keys")
    op.drop_table("text_vectors")
    op.drop_table("encoders")
    for name in ("head_versions", "jobs"):
        with op.batch_alter_table(name) as table:
            table.drop_column("encoder")
    with op.batch_alter_table("datasets") as datasets:
        datasets.drop_column("content")

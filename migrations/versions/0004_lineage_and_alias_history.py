"""The lineage of head versions, what aliases named before, and an index of heads by their bytes."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("head_versions") as versions:
        versions.add_column(sa.Column("dataset_sha256", sa.String(length=64)))
        versions.add_column(sa.Column("lineage", sa.JSON(), nullable=False, server_default="{}"))
        versions.create_index("ix_head_versions_sha256", ["tenant_id", "sha256"])
    with op.batch_alter_table("head_versions") as versions:
        versions.alter_column("lineage", server_default=None)
    with op.batch_alter_table("head_aliases") as aliases:
        aliases.add_column(sa.Column("history", sa.JSON(), nullable=False, server_default="[]"))
    with op.batch_alter_table("head_aliases") as aliases:
        aliases.alter_column("history", server_default=None)
    # Versions that are there already: the hash of their data, where that was not deleted.
    op.execute(
        "UPDATE head_versions SET dataset_sha256 = (SELECT datasets.sha256 FROM datasets "
        "WHERE datasets.tenant_id = head_versions.tenant_id "
        "AND datasets.id = head_versions.dataset_id)"
    )


def downgrade() -> None:
    with op.batch_alter_table("head_aliases") as aliases:
        aliases.drop_column("history")
    with op.batch_alter_table("head_versions") as versions:
        versions.drop_index("ix_head_versions_sha256")
        versions.drop_column("lineage")
        versions.drop_column("dataset_sha256")

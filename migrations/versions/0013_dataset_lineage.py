"""What a dataset was made from: the one before it, and what was corrected or added."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("datasets") as table:
        table.add_column(sa.Column("parent_id", sa.String(40)))
        table.add_column(sa.Column("lineage", sa.JSON(none_as_null=True)))
        table.create_index(
            "ix_datasets_parent_id",
            ["tenant_id", "parent_id"],
            sqlite_where=sa.text("parent_id IS NOT NULL"),
            postgresql_where=sa.text("parent_id IS NOT NULL"),
        )


def downgrade() -> None:
    with op.batch_alter_table("datasets") as table:
        table.drop_index("ix_datasets_parent_id")
        table.drop_column("lineage")
        table.drop_column("parent_id")

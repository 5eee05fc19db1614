"""What people note of a head version, and of the job that shall publish it: a description, tags."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TABLES = ("jobs", "head_versions")


def upgrade() -> None:
    for name in _TABLES:
        with op.batch_alter_table(name) as table:
            table.add_column(sa.Column("description", sa.Text()))
            table.add_column(
                sa.Column("tags", sa.JSON(none_as_null=True), nullable=False, server_default="{}")
            )


def downgrade() -> None:
    for name in _TABLES:
        with op.batch_alter_table(name) as table:
            table.drop_column("tags")
            table.drop_column("description")

"""Jobs say whether their alias moves whatever the verdict is, and what became of it."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(
            sa.Column("alias_always", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        jobs.add_column(sa.Column("alias_outcome", sa.JSON(none_as_null=True), nullable=True))
    # Until now an alias moved always: jobs that are not done keep what was promised to them.
    op.execute(
        "UPDATE jobs SET alias_always = true "
        "WHERE alias IS NOT NULL AND status IN ('queued', 'running')"
    )


def downgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_column("alias_outcome")
        jobs.drop_column("alias_always")

"""Whose a browser's session is, if the company's identity provider says so."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("subject", sa.Text()))


def downgrade() -> None:
    # Without it such a session would pass for the operator's.
    op.execute("DELETE FROM sessions WHERE subject IS NOT NULL")
    with op.batch_alter_table("sessions") as table:
        table.drop_column("subject")

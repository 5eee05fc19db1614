"""Versions adapted from another one, and the class shares of an alias."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0019"
branch_labels = None
depends_on = None

_TRAINED = sa.text("adapted_from IS NULL")


def upgrade() -> None:
    with op.batch_alter_table("head_versions") as versions:
        versions.add_column(sa.Column("adapted_from", sa.Integer()))
        versions.drop_constraint(op.f("uq_head_versions_job_id_method"), type_="unique")
    op.create_index(
        "ix_head_versions_candidate",
        "head_versions",
        ["job_id", "method"],
        unique=True,
        sqlite_where=_TRAINED,
        postgresql_where=_TRAINED,
    )
    with op.batch_alter_table("head_aliases") as aliases:
        aliases.add_column(sa.Column("class_shares", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    with op.batch_alter_table("head_aliases") as aliases:
        aliases.drop_column("class_shares")
    # The earlier schema has no place for adapted versions, nor for aliases of them.
    op.execute(
        "DELETE FROM head_aliases WHERE EXISTS (SELECT 1 FROM head_versions AS v "
        "WHERE v.adapted_from IS NOT NULL AND v.tenant_id = head_aliases.tenant_id "
        "AND v.name = head_aliases.name AND v.version = head_aliases.version)"
    )
    op.execute("DELETE FROM head_versions WHERE adapted_from IS NOT NULL")
    op.drop_index("ix_head_versions_candidate", table_name="head_versions")
    with op.batch_alter_table("head_versions") as versions:
        versions.create_unique_constraint(
            op.f("uq_head_versions_job_id_method"), ["job_id", "method"]
        )
        versions.drop_column("adapted_from")

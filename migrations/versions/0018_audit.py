"""Audit: what was done, when and by whom; and what webhooks were told of drift and keys."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_UNTOLD = sa.text("revoked_at IS NULL AND expiry_told_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.String(255), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("target", sa.String(300), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("request_id", sa.String(64)),
        sa.Column("address", sa.String(64)),
        sa.Column("details", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_audit")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_audit_tenant_id")
        ),
    )
    op.create_index("ix_audit_list", "audit", ["tenant_id", "at", "id"])
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_table(
        "drift_states",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("changed_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "sha256", name=op.f("pk_drift_states")),
    )
    op.add_column("api_keys", sa.Column("expiry_told_at", _MOMENT))
    op.create_index(
        "ix_api_keys_expires_at",
        "api_keys",
        ["expires_at"],
        sqlite_where=_UNTOLD,
        postgresql_where=_UNTOLD,
    )


def downgrade() -> None:
    op.drop_index("ix_api_keys_expires_at", "api_keys")
    op.drop_column("api_keys", "expiry_told_at")
    op.drop_table("drift_states")
    op.drop_table("audit")

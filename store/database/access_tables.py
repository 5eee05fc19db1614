"""The tables of who may do what, how much, and who did: tenants, keys, sessions, usage, audit."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from store.database.clock import UtcDateTime
from store.database.columns import ID, NAME, SHA256, json, metadata, partial

tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", NAME, primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime),
    # What the tenant may use up; null: the setting's.
    json("limits", nullable=True),
    # Grows with each change that takes something from a key, so that who remembers keys can ask
    # with one row whether to ask again.
    Column("key_changes", Integer, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("tenant_id", NAME, nullable=False),
    Column("id", ID, nullable=False),
    Column("name", NAME, nullable=False),
    # Of the whole key. The key has 190 random bits, so a slow hash would add nothing.
    Column("sha256", SHA256, nullable=False),
    Column("last4", String(4), nullable=False),
    json("scopes"),
    json("heads", nullable=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("successor_id", ID),
    # When webhooks were told that it ends soon: once.
    Column("expiry_told_at", UtcDateTime),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("sha256"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
    Index("ix_api_keys_list", "tenant_id", "created_at", "id"),
    partial(
        "ix_api_keys_expires_at",
        "expires_at",
        where="revoked_at IS NULL AND expiry_told_at IS NULL",
    ),
)

# A session has the rights of a key; or of the operator who followed a link: then it has no key; or
# of a member, whose subject the company's identity provider vouched for.
sessions = Table(
    "sessions",
    metadata,
    Column("tenant_id", NAME, nullable=False),
    Column("sha256", SHA256, nullable=False),
    Column("key_id", ID),
    Column("subject", Text),
    json("scopes"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "sha256"),
    UniqueConstraint("sha256"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
    ForeignKeyConstraint(["tenant_id", "key_id"], ["api_keys.tenant_id", "api_keys.id"]),
    Index("ix_sessions_expires_at", "expires_at"),
)

# What was done, and by whom: written in the transaction of the act. Its foreign key is also why
# nothing can be done for a tenant once it is deleted.
audit = Table(
    "audit",
    metadata,
    Column("tenant_id", NAME, nullable=False),
    Column("id", ID, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor_kind", String(16), nullable=False),
    Column("actor_id", String(255), nullable=False),
    Column("action", String(40), nullable=False),
    Column("target", String(300), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("request_id", String(64)),
    Column("address", String(64)),
    json("details"),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
    Index("ix_audit_list", "tenant_id", "at", "id"),
    Index("ix_audit_at", "at"),
)

# No foreign key: a flush that comes after its tenant was deleted must not fail.
usage = Table(
    "usage",
    metadata,
    Column("tenant_id", NAME, nullable=False),
    # `2026-12`, in UTC by the database's clock.
    Column("month", String(7), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("count", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "month", "kind"),
)

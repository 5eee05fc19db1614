"""The tables of who may do what, and how much: tenants, keys, sessions of browsers, usage."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)

from store.database.clock import UtcDateTime
from store.database.columns import ID, NAME, SHA256, json, metadata

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
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("sha256"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
    Index("ix_api_keys_list", "tenant_id", "created_at", "id"),
)

# A session has the rights of a key, or of the operator who followed a link: then it has no key.
sessions = Table(
    "sessions",
    metadata,
    Column("tenant_id", NAME, nullable=False),
    Column("sha256", SHA256, nullable=False),
    Column("key_id", ID),
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

"""The tables of webhooks: who listens, what happened, what is to be sent, and what was tried."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from store.database.clock import UtcDateTime
from store.database.columns import ID, NAME, json, metadata, partial

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("tenant_id", NAME, nullable=False),
    Column("id", ID, nullable=False),
    Column("url", Text, nullable=False),
    json("events"),
    Column("description", Text),
    # The secret, encrypted; for a day after a rotation also the one before.
    Column("sealed", LargeBinary, nullable=False),
    Column("sealed_old", LargeBinary),
    Column("old_until", UtcDateTime),
    # Since when no delivery has succeeded; NULL after a success.
    Column("failing_since", UtcDateTime),
    Column("disabled_at", UtcDateTime),
    Column("disabled_why", String(32)),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
)

# Written in the transaction of what it tells; the body is sent as it stands here.
webhook_messages = Table(
    "webhook_messages",
    metadata,
    Column("tenant_id", NAME, nullable=False),
    Column("id", ID, nullable=False),
    Column("type", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index("ix_webhook_messages_created_at", "created_at"),
)

# The queue: one row for each message and endpoint.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("tenant_id", NAME, nullable=False),
    Column("id", ID, nullable=False),
    Column("message_id", ID, nullable=False),
    Column("endpoint_id", ID, nullable=False),
    # event, ping or replay; only the first tells of the endpoint's health.
    Column("kind", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("n_attempts", Integer, nullable=False),
    # The attempts of this round; a replay begins a new one.
    Column("step", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("lease_expires_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "message_id", "endpoint_id"),
    ForeignKeyConstraint(
        ["tenant_id", "message_id"],
        ["webhook_messages.tenant_id", "webhook_messages.id"],
        ondelete="CASCADE",
    ),
    ForeignKeyConstraint(
        ["tenant_id", "endpoint_id"],
        ["webhook_endpoints.tenant_id", "webhook_endpoints.id"],
        ondelete="CASCADE",
    ),
    CheckConstraint("status IN ('pending', 'sending', 'succeeded', 'failed')", name="status"),
    CheckConstraint("(status = 'sending') = (lease_expires_at IS NOT NULL)", name="lease"),
    Index("ix_webhook_deliveries_list", "tenant_id", "endpoint_id", "created_at", "id"),
    partial("ix_webhook_deliveries_due", "due_at", where="status = 'pending'"),
    # One at a time for each endpoint.
    partial(
        "ix_webhook_deliveries_sending",
        "tenant_id",
        "endpoint_id",
        where="status = 'sending'",
        unique=True,
    ),
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("tenant_id", NAME, nullable=False),
    Column("delivery_id", ID, nullable=False),
    Column("n", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("milliseconds", Integer),
    # The answer's HTTP status, or why there was none.
    Column("status", Integer),
    Column("error", String(32)),
    Column("excerpt", Text),
    PrimaryKeyConstraint("tenant_id", "delivery_id", "n"),
    ForeignKeyConstraint(
        ["tenant_id", "delivery_id"],
        ["webhook_deliveries.tenant_id", "webhook_deliveries.id"],
        ondelete="CASCADE",
    ),
)

"""The tables of encoders: those seen, those added, the vectors they made, keys for them."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
)

from store.database.clock import UtcDateTime
from store.database.columns import NAME, SHA256, json, metadata

encoders = Table(
    "encoders",
    metadata,
    Column("tenant_id", NAME, nullable=False),
    Column("fingerprint", SHA256, nullable=False),
    Column("identity", SHA256, nullable=False),
    json("encoder"),
    json("sketch"),
    Column("n_columns", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "fingerprint"),
    Index("ix_encoders_identity", "tenant_id", "identity"),
)

# Encoders that a tenant added, as archives of their files. They never change; one with other files
# needs another name, or the deletion of the first.
local_encoders = Table(
    "local_encoders",
    metadata,
    Column("tenant_id", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    Column("sha256", SHA256, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    json("description"),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "name"),
)

# Little-endian float32. Not bound to a dataset or job, so that no text is paid for twice.
text_vectors = Table(
    "text_vectors",
    metadata,
    Column("tenant_id", NAME, nullable=False),
    Column("fingerprint", SHA256, nullable=False),
    Column("text_sha256", SHA256, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "fingerprint", "text_sha256"),
    Index("ix_text_vectors_created_at", "created_at"),
)

provider_keys = Table(
    "provider_keys",
    metadata,
    Column("tenant_id", NAME, nullable=False),
    Column("origin", String(300), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "origin"),
)

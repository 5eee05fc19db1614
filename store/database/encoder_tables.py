"""The tables of encoders: what they are, the vectors that were paid for, keys of providers."""

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
)

from store.database.clock import UtcDateTime
from store.database.columns import NAME as _NAME
from store.database.columns import SHA256 as _SHA256
from store.database.columns import json as _json
from store.database.columns import metadata

encoders = Table(
    "encoders",
    metadata,
    Column("tenant_id", _NAME, nullable=False),
    Column("fingerprint", _SHA256, nullable=False),
    Column("identity", _SHA256, nullable=False),
    _json("encoder"),
    _json("sketch"),
    Column("n_columns", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "fingerprint"),
    Index("ix_encoders_identity", "tenant_id", "identity"),
)

# Little-endian float32. Not bound to a dataset or job, so that no text is paid for twice.
text_vectors = Table(
    "text_vectors",
    metadata,
    Column("tenant_id", _NAME, nullable=False),
    Column("fingerprint", _SHA256, nullable=False),
    Column("text_sha256", _SHA256, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "fingerprint", "text_sha256"),
    Index("ix_text_vectors_created_at", "created_at"),
)

provider_keys = Table(
    "provider_keys",
    metadata,
    Column("tenant_id", _NAME, nullable=False),
    Column("origin", String(300), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "origin"),
)

"""The tables: columns, named constraints and indices."""

from sqlalchemy import (
    BigInteger,
    Boolean,
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
    false,
)

from store.database import access_tables, encoder_tables, webhook_tables
from store.database.clock import UtcDateTime
from store.database.columns import ID as _ID
from store.database.columns import NAME as _NAME
from store.database.columns import SHA256 as _SHA256
from store.database.columns import json as _json
from store.database.columns import metadata as metadata
from store.database.columns import partial as _partial
from store.database.columns import tags as _tags

tenants = access_tables.tenants
api_keys = access_tables.api_keys
audit = access_tables.audit
sessions = access_tables.sessions
usage = access_tables.usage
encoders = encoder_tables.encoders
local_encoders = encoder_tables.local_encoders
provider_keys = encoder_tables.provider_keys
text_vectors = encoder_tables.text_vectors
webhook_attempts = webhook_tables.webhook_attempts
webhook_deliveries = webhook_tables.webhook_deliveries
webhook_endpoints = webhook_tables.webhook_endpoints
webhook_messages = webhook_tables.webhook_messages

datasets = Table(
    "datasets",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("tenant_id", _NAME, nullable=False),
    Column("name", _NAME, nullable=False),
    Column("sha256", _SHA256, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("n_rows", BigInteger, nullable=False),
    Column("n_columns", Integer, nullable=False),
    # `embeddings`, or `texts`, which have no columns until a job embeds them.
    Column("content", String(16), nullable=False),
    _json("classes"),
    _json("splits"),
    _json("profile"),
    _json("warnings"),
    Column("created_at", UtcDateTime, nullable=False),
    # From then on its owner no longer sees it; row and bytes go once no job needs them.
    Column("expires_at", UtcDateTime),
    # Of a correction or addition. No foreign key: a dataset outlives the one it was made from.
    Column("parent_id", _ID),
    _json("lineage", nullable=True),
    Index("ix_datasets_list", "tenant_id", "created_at", "id"),
    _partial("ix_datasets_parent_id", "tenant_id", "parent_id", where="parent_id IS NOT NULL"),
    Index("ix_datasets_sha256", "tenant_id", "sha256"),
    _partial("ix_datasets_expires_at", "expires_at", where="expires_at IS NOT NULL"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("tenant_id", _NAME, nullable=False),
    Column("id", _ID, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    # How many bytes have arrived; also the fence for adding a part.
    Column("received_bytes", BigInteger, nullable=False),
    Column("n_parts", Integer, nullable=False),
    Column("metadata", String(2048), nullable=False),
    Column("sha256", _SHA256),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    CheckConstraint("received_bytes >= 0 AND received_bytes <= size_bytes", name="received"),
    Index("ix_uploads_list", "tenant_id", "created_at", "id"),
    Index("ix_uploads_sha256", "tenant_id", "sha256"),
    Index("ix_uploads_expires_at", "expires_at"),
)

upload_parts = Table(
    "upload_parts",
    metadata,
    Column("tenant_id", _NAME, nullable=False),
    Column("upload_id", _ID, nullable=False),
    Column("begin", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", _SHA256, nullable=False),
    PrimaryKeyConstraint("tenant_id", "upload_id", "begin"),
    ForeignKeyConstraint(["tenant_id", "upload_id"], ["uploads.tenant_id", "uploads.id"]),
)

# dataset_id is no foreign key: a finished job outlives the dataset its owner deleted.
jobs = Table(
    "jobs",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("tenant_id", _NAME, nullable=False),
    Column("name", _NAME, nullable=False),
    # `training` and `migration`, which publish a head, or `prediction`, which writes an output.
    Column("kind", String(16), nullable=False),
    Column("dataset_id", _ID, nullable=False),
    Column("method", _NAME, nullable=False),
    Column("alias", _NAME),
    # Whether the alias moves even if the report's verdict advises against the head.
    Column("alias_always", Boolean, nullable=False, server_default=false()),
    # What happened to the alias, once the job has published.
    _json("alias_outcome", nullable=True),
    # Notes for the head version that the job publishes.
    Column("description", Text),
    _tags(),
    Column("queue", String(16), nullable=False),
    # Minus the priority, so that the whole index is in ascending order.
    Column("precedence", Integer, nullable=False),
    # Fair share: a tenant's waiting jobs are numbered, and the first of all tenants come first.
    Column("turn", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("stage", _NAME),
    _json("progress", nullable=True),
    _json("config"),
    # The encoder of the texts, later with fingerprint and cost; and those that it is chosen from.
    _json("encoder", nullable=True),
    # Which version it takes to another encoder, and how; for a bridge later also what it found.
    _json("migration", nullable=True),
    _json("encoders", nullable=True),
    Column("attempt", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("worker", String(255)),
    Column("lease_expires_at", UtcDateTime),
    Column("not_before_at", UtcDateTime),
    # Why it is held back until then: code, message, since. Kept until the wait has paid off.
    _json("waiting", nullable=True),
    Column("cancel_requested_at", UtcDateTime),
    _json("checkpoint"),
    _json("error", nullable=True),
    Column("report_sha256", _SHA256),
    # The version that a training published or a prediction uses. No foreign key: it may be deleted.
    Column("head_name", _NAME),
    Column("head_version", Integer),
    # The output of a succeeded prediction, until its owner deletes it or it expires.
    Column("output_sha256", _SHA256),
    _json("output", nullable=True),
    # The number of the job's last event. Counted here, under the row's lock, so that events are
    # numbered without gaps and become visible in order.
    Column("n_events", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("tenant_id", "id"),
    CheckConstraint(
        "status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="status"
    ),
    CheckConstraint(
        "attempt >= 0 AND attempt <= max_attempts AND max_attempts >= 1", name="attempt"
    ),
    CheckConstraint("(status = 'running') = (lease_expires_at IS NOT NULL)", name="lease"),
    CheckConstraint(
        "(status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
        name="finished",
    ),
    CheckConstraint(
        "status <> 'succeeded' OR kind <> 'training' OR (report_sha256 IS NOT NULL "
        "AND head_name IS NOT NULL AND head_version IS NOT NULL)",
        name="succeeded",
    ),
    CheckConstraint("kind IN ('training', 'prediction', 'migration')", name="kind"),
    CheckConstraint(
        "kind <> 'prediction' OR (head_name IS NOT NULL AND head_version IS NOT NULL)",
        name="prediction",
    ),
    CheckConstraint(
        "kind <> 'migration' OR (migration IS NOT NULL AND (status <> 'succeeded' "
        "OR (head_name IS NOT NULL AND head_version IS NOT NULL)))",
        name="migration",
    ),
    CheckConstraint(
        "output_sha256 IS NULL OR (kind = 'prediction' AND status = 'succeeded')", name="output"
    ),
    CheckConstraint("status <> 'failed' OR error IS NOT NULL", name="failed"),
    Index("ix_jobs_list", "tenant_id", "created_at", "id"),
    _partial(
        "ix_jobs_claim",
        "queue",
        "precedence",
        "turn",
        "created_at",
        "id",
        where="status = 'queued'",
    ),
    # The same for the slots that only take predictions, however many trainings wait.
    _partial(
        "ix_jobs_claim_prediction",
        "queue",
        "precedence",
        "turn",
        "created_at",
        "id",
        where="status = 'queued' AND kind = 'prediction'",
    ),
    _partial(
        "ix_jobs_turn",
        "tenant_id",
        "queue",
        "kind",
        "precedence",
        "turn",
        where="status = 'queued'",
    ),
    _partial("ix_jobs_sweep", "lease_expires_at", where="status = 'running'"),
    _partial("ix_jobs_outputs", "finished_at", where="output_sha256 IS NOT NULL"),
    _partial(
        "ix_jobs_unfinished_dataset",
        "tenant_id",
        "dataset_id",
        where="status IN ('queued', 'running')",
    ),
)

events = Table(
    "events",
    metadata,
    Column("tenant_id", _NAME, nullable=False),
    Column("job_id", _ID, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("type", String(32), nullable=False),
    _json("data"),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "job_id", "sequence"),
    ForeignKeyConstraint(
        ["tenant_id", "job_id"], ["jobs.tenant_id", "jobs.id"], ondelete="CASCADE"
    ),
)

# What a job made beside its report and head: values of its rows, its map, its other heads.
job_files = Table(
    "job_files",
    metadata,
    Column("tenant_id", _NAME, nullable=False),
    Column("job_id", _ID, nullable=False),
    Column("name", String(80), nullable=False),
    # None once the file has expired.
    Column("sha256", _SHA256),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "job_id", "name"),
    ForeignKeyConstraint(
        ["tenant_id", "job_id"], ["jobs.tenant_id", "jobs.id"], ondelete="CASCADE"
    ),
    _partial("ix_job_files_created_at", "created_at", where="sha256 IS NOT NULL"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("tenant_id", _NAME, nullable=False),
    Column("key", String(255), nullable=False),
    Column("request_hash", String(128), nullable=False),
    Column("status_code", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "key"),
    Index("ix_idempotency_keys_created_at", "created_at"),
)

# A row outlives its versions: their numbers are never reused, not even after a deletion.
heads = Table(
    "heads",
    metadata,
    Column("tenant_id", _NAME, nullable=False),
    Column("name", _NAME, nullable=False),
    Column("latest_version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "name"),
    Index("ix_heads_list", "tenant_id", "created_at", "name"),
)

head_versions = Table(
    "head_versions",
    metadata,
    Column("tenant_id", _NAME, nullable=False),
    Column("name", _NAME, nullable=False),
    Column("version", Integer, nullable=False),
    Column("job_id", _ID, nullable=False),
    Column("dataset_id", _ID, nullable=False),
    Column("sha256", _SHA256, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("method", _NAME, nullable=False),
    Column("n_columns", Integer, nullable=False),
    _json("classes"),
    Column("n_parameters", BigInteger, nullable=False),
    _json("config"),
    _json("metrics"),
    _json("encoder", nullable=True),
    # How it was made. The hash outlives the dataset; a version older than the column whose dataset
    # was deleted has none.
    Column("dataset_sha256", _SHA256),
    _json("lineage"),
    # The version of this head that it was adapted from, which may be deleted since.
    Column("adapted_from", Integer),
    # The version of this head that it replaces with another encoder, which may be deleted since.
    Column("migrated_from", Integer),
    # The owner's notes; everything else of a version never changes.
    Column("description", Text),
    _tags(),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "name", "version"),
    ForeignKeyConstraint(["tenant_id", "name"], ["heads.tenant_id", "heads.name"]),
    ForeignKeyConstraint(["tenant_id", "job_id"], ["jobs.tenant_id", "jobs.id"]),
    CheckConstraint("version >= 1", name="version"),
    Index("ix_head_versions_sha256", "tenant_id", "sha256"),
    # Exactly once: one version of each candidate, however often a job ran or a request was sent;
    # versions adapted from it come beside it.
    _partial(
        "ix_head_versions_candidate",
        "job_id",
        "method",
        where="adapted_from IS NULL",
        unique=True,
    ),
)

head_aliases = Table(
    "head_aliases",
    metadata,
    Column("tenant_id", _NAME, nullable=False),
    Column("name", _NAME, nullable=False),
    Column("alias", _NAME, nullable=False),
    Column("version", Integer, nullable=False),
    # The versions that it named before, the latest last, for rollbacks.
    _json("history"),
    # The class shares that predictions by this alias are corrected to, if they name none.
    _json("class_shares", nullable=True),
    Column("updated_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "name", "alias"),
    ForeignKeyConstraint(
        ["tenant_id", "name", "version"],
        ["head_versions.tenant_id", "head_versions.name", "head_versions.version"],
    ),
)

# No foreign key: a window is about bytes, whatever happens to the versions that name them.
drift_windows = Table(
    "drift_windows",
    metadata,
    Column("tenant_id", _NAME, nullable=False),
    Column("sha256", _SHA256, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("n_rows", BigInteger, nullable=False),
    Column("sums", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant_id", "sha256", "started_at"),
    Index("ix_drift_windows_started_at", "started_at"),
)

# What webhooks were last told of a head's drift. As windows, about bytes.
drift_states = Table(
    "drift_states",
    metadata,
    Column("tenant_id", _NAME, nullable=False),
    Column("sha256", _SHA256, nullable=False),
    Column("state", String(16), nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "sha256"),
)

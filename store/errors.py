"""The store's errors: one tree, each class with a stable `code`.

    StoreError
    ├── NotFound               not_found
    ├── Conflict               conflict
    │   ├── DatasetInUse       dataset_in_use
    │   ├── EncoderInUse       encoder_in_use
    │   ├── EncoderExists      encoder_exists
    │   ├── HeadInUse          head_in_use
    │   ├── OffsetMismatch     offset_mismatch
    │   ├── TooManyParts       too_many_parts
    │   ├── NothingToRollBack  nothing_to_roll_back
    │   ├── SharesDoNotFit     class_shares_do_not_fit
    │   ├── OutputNotReady     output_not_ready
    │   ├── CandidatesNotReady candidates_not_ready
    │   ├── KeyEnded           key_ended
    │   ├── LastAdminKey       last_admin_key
    │   └── EndpointDisabled   webhook_disabled
    ├── UnknownCandidate       unknown_candidate
    ├── HeadDeleted            head_deleted
    ├── JobFileMissing         job_file_missing
    ├── JobFileExpired         job_file_expired
    ├── TooManyEndpoints       quota_exceeded
    ├── QuotaReached           quota_exceeded
    │   └── MonthlyQuotaReached quota_exceeded
    ├── InvalidLimit           invalid_limit
    ├── MessageGone            message_gone
    ├── LeaseLost              lease_lost
    ├── InvalidName            invalid_name
    ├── InvalidScope           invalid_scope
    ├── TenantNotNamed         tenant_not_named
    ├── InvalidCursor          invalid_cursor
    ├── InvalidReference       invalid_head_reference
    ├── IdempotencyKeyReused   idempotency_key_reused
    ├── InvalidDatasetFile     invalid_dataset_file
    ├── ArtifactMissing        artifact_missing
    ├── ArtifactCorrupt        artifact_corrupt
    ├── StorageUnavailable     storage_unavailable     (transient: try again)
    │   ├── StorageFull        storage_full
    │   ├── QuotaExceeded      storage_quota_exceeded
    │   ├── StorageReadOnly    storage_read_only
    │   ├── StorageForbidden   storage_forbidden
    │   └── TooManyOpenFiles   too_many_open_files
    ├── DatabaseUnavailable    database_unavailable    (transient: try again)
    │   ├── DatabaseFull       storage_full
    │   └── DatabaseReadOnly   database_read_only
    └── SchemaMismatch         schema_mismatch

A class knows no HTTP status: the HTTP door keeps that table. Messages say what to do.
"""

# ruff: noqa: N818  `raise NotFound(...)` reads better than with "Error" after each name.
from typing import ClassVar


class StoreError(Exception):
    """Something the store could not do; `code` is stable and may be shown to users."""

    code: ClassVar[str] = "store_error"


class NotFound(StoreError):
    """The tenant has no such thing (another tenant may have one; the error does not say)."""

    code = "not_found"

    def __init__(self, kind: str, id: str) -> None:  # noqa: A002  the contract's word
        super().__init__(f"There is no {kind} {id!r}.")
        self.kind = kind
        self.id = id


class Conflict(StoreError):
    """The change contradicts what is stored."""

    code = "conflict"


class DatasetInUse(Conflict):
    """A queued or running job needs the dataset."""

    code = "dataset_in_use"


class EncoderInUse(Conflict):
    """Heads or unfinished jobs need the local encoder."""

    code = "encoder_in_use"


class EncoderExists(Conflict):
    """There is another local encoder of that name."""

    code = "encoder_exists"


class HeadInUse(Conflict):
    """Aliases point at the versions to delete."""

    code = "head_in_use"


class OutputNotReady(Conflict):
    """The job has no output: not yet, never, or no longer."""

    code = "output_not_ready"


class CandidatesNotReady(Conflict):
    """The job has no candidates: not yet, or never."""

    code = "candidates_not_ready"


class UnknownCandidate(StoreError):
    """The job trained no candidate of that name."""

    code = "unknown_candidate"


class HeadDeleted(StoreError):
    """The head version that a job published was deleted, and its bytes are kept nowhere else."""

    code = "head_deleted"


class JobFileMissing(StoreError):
    """The job never had that file."""

    code = "job_file_missing"


class JobFileExpired(StoreError):
    """The job's file is no longer kept."""

    code = "job_file_expired"


class EndpointDisabled(Conflict):
    """Nothing is sent to a disabled webhook."""

    code = "webhook_disabled"


class TooManyEndpoints(StoreError):
    """The tenant has as many webhooks as it may have."""

    code = "quota_exceeded"


class QuotaReached(StoreError):
    """The tenant has as much as its `limit` allows; waiting does not help, deleting does."""

    code = "quota_exceeded"

    def __init__(self, message: str, *, limit: str, allowed: int, used: int) -> None:
        super().__init__(message)
        self.limit = limit
        self.allowed = allowed
        self.used = used


class MonthlyQuotaReached(QuotaReached):
    """The tenant has used up its `limit` until the next month begins."""

    def __init__(
        self, message: str, *, limit: str, allowed: int, used: int, seconds_left: float
    ) -> None:
        super().__init__(message, limit=limit, allowed=allowed, used=used)
        self.seconds_left = seconds_left
        """Until the next month begins."""


class InvalidLimit(StoreError):
    """There is no such limit, or it cannot have this value."""

    code = "invalid_limit"


class MessageGone(StoreError):
    """The webhook message is older than messages are kept."""

    code = "message_gone"


class OffsetMismatch(Conflict):
    """A part of an upload does not begin where the upload ends, at `received_bytes`."""

    code = "offset_mismatch"

    def __init__(self, message: str, *, received_bytes: int) -> None:
        super().__init__(message)
        self.received_bytes = received_bytes


class TooManyParts(Conflict):
    """An upload has more parts than allowed."""

    code = "too_many_parts"


class NothingToRollBack(Conflict):
    """No version that the alias named before still exists."""

    code = "nothing_to_roll_back"


class SharesDoNotFit(Conflict):
    """An alias has class shares that the version it is to name cannot be corrected to."""

    code = "class_shares_do_not_fit"


class KeyEnded(Conflict):
    """The key has expired, was revoked or was rotated before."""

    code = "key_ended"


class LastAdminKey(Conflict):
    """The tenant has no other key that may make keys."""

    code = "last_admin_key"


class LeaseLost(StoreError):
    """This worker no longer holds the job: stop silently, another worker may have it."""

    code = "lease_lost"


class InvalidName(StoreError):
    """A name, alias or tenant breaks the naming rule."""

    code = "invalid_name"


class InvalidScope(StoreError):
    """A key cannot have these scopes, or not with these heads."""

    code = "invalid_scope"


class TenantNotNamed(StoreError):
    """There are several tenants, and the operator's command did not say which one is meant."""

    code = "tenant_not_named"


class InvalidCursor(StoreError):
    """The cursor was not made by this list: start again without one."""

    code = "invalid_cursor"


class InvalidReference(StoreError):
    """A head reference is not `name`, `name@version`, `name@alias` or `name@latest`."""

    code = "invalid_head_reference"


class IdempotencyKeyReused(StoreError):
    """The key was used before with another request body."""

    code = "idempotency_key_reused"


class InvalidDatasetFile(StoreError):
    """Stored dataset bytes cannot be read as a dataset."""

    code = "invalid_dataset_file"


class ArtifactMissing(StoreError):
    """A row names bytes that are not in the artifact storage."""

    code = "artifact_missing"


class ArtifactCorrupt(StoreError):
    """Stored bytes do not have the hash they are named by."""

    code = "artifact_corrupt"


class StorageUnavailable(StoreError):
    """The artifact storage cannot be read or written now (disk full, permissions, I/O error)."""

    code = "storage_unavailable"


class StorageFull(StorageUnavailable):
    """The disk is full; `advice` here and in the classes below is fit for users."""

    code = "storage_full"
    advice = (
        "The disk of the service is full, so nothing new can be stored; predictions still work. "
        "Ask the operator to free disk space, then send it again."
    )


class QuotaExceeded(StorageUnavailable):
    """The server's user has used up its disk quota."""

    code = "storage_quota_exceeded"
    advice = (
        "The service has used up its disk quota, so nothing new can be stored; predictions still "
        "work. Ask the operator to raise the quota or free space, then send it again."
    )


class StorageReadOnly(StorageUnavailable):
    """The file system is mounted read-only."""

    code = "storage_read_only"
    advice = (
        "The storage of the service is read-only, so nothing new can be stored; predictions still "
        "work. Ask the operator to make it writable, then send it again."
    )


class StorageForbidden(StorageUnavailable):
    """The server's user lacks the right to do that."""

    code = "storage_forbidden"
    advice = (
        "The service may not write to its storage (permission denied); predictions still work. Ask "
        "the operator to let the server's user write there, then send it again."
    )


class TooManyOpenFiles(StorageUnavailable):
    """The process or the machine has no file descriptor left."""

    code = "too_many_open_files"
    advice = (
        "The service has too many open files and connections. Try again shortly; if it happens "
        "again, ask the operator to raise the limit of open files (ulimit -n)."
    )


class DatabaseUnavailable(StoreError):
    """The database cannot answer now (locked, full, away, not migrated)."""

    code = "database_unavailable"


class DatabaseFull(DatabaseUnavailable):
    """The database's disk has no room."""

    code = "storage_full"
    advice = StorageFull.advice


class DatabaseReadOnly(DatabaseUnavailable):
    """The database accepts no writes: a protected file, a read-only disk or a standby."""

    code = "database_read_only"
    advice = (
        "The database of the service is read-only, so nothing new can be stored; predictions still "
        "work. Ask the operator to make it writable, then send it again."
    )


class SchemaMismatch(StoreError):
    """The database's schema does not fit this version of the code."""

    code = "schema_mismatch"

"""Python client of an NMTune server: upload embeddings, tune heads on them, predict."""

from nmtune_client._async.client import AsyncClient
from nmtune_client._async.job import AsyncJob
from nmtune_client._audit.values import AuditEntry
from nmtune_client._datasets.values import Dataset, Split
from nmtune_client._encoders.values import LocalEncoder
from nmtune_client._heads.bundle import BundleError, BundleReport, verify_bundle
from nmtune_client._heads.comparison import HeadComparison
from nmtune_client._heads.drift import Drift
from nmtune_client._heads.values import Adaptation, Head, HeadAlias, HeadRef, HeadVersion
from nmtune_client._http.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    BadResponseError,
    ConflictError,
    ConnectionSetupError,
    FieldError,
    NMTuneError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    UnsupportedMediaTypeError,
    ValidationError,
)
from nmtune_client._http.retry import RetryPolicy
from nmtune_client._job_rows.map_file import JobMap
from nmtune_client._job_rows.values import JobRow, Neighbour
from nmtune_client._jobs.errors import JobCancelled, JobFailed, WaitTimeout
from nmtune_client._jobs.values import Event, JobData, Progress
from nmtune_client._keys.values import ApiKey, Identity, NewApiKey
from nmtune_client._predict.result import Prediction
from nmtune_client._report.parts import Verdict
from nmtune_client._report.report import Report
from nmtune_client._report.rows import ReportRow
from nmtune_client._sync.client import Client
from nmtune_client._sync.job import Job
from nmtune_client._usage.values import Rate, Usage, Use
from nmtune_client._version import __version__
from nmtune_client._webhooks.values import Delivery, Webhook
from nmtune_client._webhooks.verification import WebhookVerificationError, verify_webhook

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "Adaptation",
    "ApiKey",
    "AsyncClient",
    "AsyncJob",
    "AuditEntry",
    "AuthenticationError",
    "BadRequestError",
    "BadResponseError",
    "BundleError",
    "BundleReport",
    "Client",
    "ConflictError",
    "ConnectionSetupError",
    "Dataset",
    "Delivery",
    "Drift",
    "Event",
    "FieldError",
    "Head",
    "HeadAlias",
    "HeadComparison",
    "HeadRef",
    "HeadVersion",
    "Identity",
    "Job",
    "JobCancelled",
    "JobData",
    "JobFailed",
    "JobMap",
    "JobRow",
    "LocalEncoder",
    "NMTuneError",
    "Neighbour",
    "NewApiKey",
    "NotFoundError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "Prediction",
    "Progress",
    "Rate",
    "RateLimitedError",
    "Report",
    "ReportRow",
    "RetryPolicy",
    "ServerError",
    "Split",
    "UnsupportedMediaTypeError",
    "Usage",
    "Use",
    "ValidationError",
    "Verdict",
    "WaitTimeout",
    "Webhook",
    "WebhookVerificationError",
    "__version__",
    "verify_bundle",
    "verify_webhook",
]

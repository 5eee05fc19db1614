"""The client of an S3-compatible storage: how long it waits, and what its errors mean."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import boto3.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
)
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.parsers import ResponseParserError
from pydantic import SecretStr
from urllib3.exceptions import HTTPError as TransferError

from store.errors import StorageUnavailable

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

log = logging.getLogger(__name__)

_MISSING: Final = {"NoSuchKey", "NotFound", "404"}
# NoSuchUpload: the first try succeeded, but its answer was lost.
_CONFLICTS: Final = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchUpload"}
_OVERLOADED: Final = {429, 503}
_REFUSED: Final = {401, 403}


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long one request may take before it ends with StorageUnavailable.

    A silent storage costs `n_tries` times `connect_seconds` or `answer_seconds`, plus the pauses
    between tries: at most about 1, 2 and 4 seconds.
    """

    connect_seconds: float = 5.0
    """The longest wait for a connection."""
    answer_seconds: float = 30.0
    """The longest silence before and within an answer."""
    n_tries: int = 4
    """How often a request is sent before its failure counts."""


def sign_in(
    *, region: str | None, access_key_id: str | None, secret_access_key: SecretStr | None
) -> boto3.session.Session:
    """A session for clients; the AWS variables, profile or role replace each None."""
    return boto3.session.Session(
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key.get_secret_value() if secret_access_key else None,
        region_name=region,
    )


def connect(
    session: boto3.session.Session, *, endpoint_url: str | None, patience: Patience
) -> "S3Client":
    """A client, safe to share between threads; nothing is sent yet.

    The first client of a session takes half a second to load the description of S3.
    """
    config = Config(
        connect_timeout=patience.connect_seconds,
        read_timeout=patience.answer_seconds,
        retries={"mode": "standard", "total_max_attempts": patience.n_tries},
        max_pool_connections=32,
        # The signature covers the hash of the body, so every server refuses bytes that were damaged
        # on the way. Not every server knows the newer checksum headers.
        s3={
            "payload_signing_enabled": True,
            "addressing_style": "path" if endpoint_url else "auto",
        },
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return session.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=session.region_name or "us-east-1",
        config=config,
    )


@contextmanager
def available(action: str) -> Iterator[None]:
    """Turn errors on the way to the storage into StorageUnavailable.

    Its message is for users; hosts, keys and the storage's own words go into the log.
    """
    try:
        yield
    except ParamValidationError:
        raise  # a bug of ours, which does not pass
    except (BotoCoreError, ClientError, ResponseParserError, TransferError) as error:
        log.error("artifact.unavailable action=%s error=%s", action, error)
        raise StorageUnavailable(
            f"The artifact storage cannot {action} now: {_reason(error)}. The server's log has the "
            "cause."
        ) from error


def is_missing(error: ClientError) -> bool:
    """Whether the storage said that the object is missing, not the bucket."""
    return error.response["Error"]["Code"] in _MISSING


def is_conflict(error: ClientError) -> bool:
    """Whether a conditional write may have met another write, or its own first try."""
    return code_of(error) in _CONFLICTS


def code_of(error: ClientError) -> str:
    """The storage's error code, such as `NoSuchBucket`."""
    return error.response["Error"]["Code"]


def status_of(error: ClientError) -> int:
    """The HTTP status of the storage's answer."""
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


def _reason(error: Exception) -> str:
    match error:
        case ClientError() if code_of(error) == "NoSuchBucket":
            return "its bucket does not exist"
        case ClientError() if status_of(error) in _REFUSED:
            return "it refuses the access key, or the key lacks a right"
        case ClientError() if status_of(error) in _OVERLOADED:
            return "it is overloaded"
        case ClientError():
            return f"it answers with status {status_of(error)}"
        case NoCredentialsError() | PartialCredentialsError() | CredentialRetrievalError():
            return "it needs an access key, and none was found"
        case ConnectTimeoutError() | ReadTimeoutError():
            return "it does not answer in time"
        case NoConnectionError() | HTTPClientError():
            return "it cannot be reached"
    return "its answer broke off"

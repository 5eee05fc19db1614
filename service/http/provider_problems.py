"""The HTTP status, field, row and headers of each provider error."""

from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Final

from providers import errors
from providers.errors import InvalidProvider, ProviderError, ProviderUnavailable

STATUSES: Final[Mapping[type[ProviderError], HTTPStatus]] = {
    errors.InvalidProvider: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidEncoder: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.AddressForbidden: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.KeyMissing: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.KeyRefused: HTTPStatus.BAD_GATEWAY,
    errors.QuotaExhausted: HTTPStatus.BAD_GATEWAY,
    errors.InputRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.WrongAnswer: HTTPStatus.BAD_GATEWAY,
    errors.EncoderChanged: HTTPStatus.CONFLICT,
    errors.ProviderUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""A class that is not listed has the status of its base class, in the end 502."""

MOST_RETRY_AFTER_SECONDS: Final = 600


def status_of(error: ProviderError) -> HTTPStatus:
    """The status of an error."""
    found = (STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES)
    return next(found, HTTPStatus.BAD_GATEWAY)


def field_of(error: ProviderError) -> str | None:
    """The request field that the error is about."""
    if "row" in error.where:
        return "texts"
    if isinstance(error, InvalidProvider):
        return f"provider.{error.field}" if error.field else "provider"
    if isinstance(error, errors.InvalidEncoder):
        return error.field
    if isinstance(error, errors.AddressForbidden):
        return "provider.base_url"
    return "provider" if isinstance(error, errors.KeyMissing) else None


def row_of(error: ProviderError) -> int | None:
    """The row of the text that the error is about."""
    row = error.where.get("row")
    return row if isinstance(row, int) else None


def headers_of(error: ProviderError) -> dict[str, str]:
    """Retry-After, where waiting helps: what the provider said, at most ten minutes."""
    if not isinstance(error, ProviderUnavailable):
        return {}
    seconds = min(MOST_RETRY_AFTER_SECONDS, max(1, ceil(error.retry_after or 2)))
    return {"Retry-After": str(seconds)}

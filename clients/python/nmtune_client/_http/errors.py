"""The client's errors.

NMTuneError
├── APIConnectionError            the server was not reached, or the connection broke
│   ├── APITimeoutError           it was reached, but too slow
│   └── ConnectionSetupError      the URL, a proxy or the certificates cannot be used
├── BadResponseError              something answered, but not as an NMTune server does
├── APIStatusError                the server answered with an error status
│   ├── BadRequestError           400
│   ├── AuthenticationError       401
│   ├── PermissionDeniedError     403
│   ├── NotFoundError             404
│   ├── ConflictError             409
│   ├── PayloadTooLargeError      413
│   ├── UnsupportedMediaTypeError 415
│   ├── ValidationError           422
│   ├── RateLimitedError          429
│   └── ServerError               5xx
├── BundleError                   an exported bundle is damaged (in `_heads.bundle`)
├── JobFailed                     the awaited job failed (with the next two, in `_jobs.errors`)
├── JobCancelled                  the awaited job was cancelled
└── WaitTimeout                   the timeout ran out; the job goes on
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_ERRORS_SHOWN = 3


class NMTuneError(Exception):
    """Any error of this package except a wrong argument, which is a ValueError or TypeError."""


class APIConnectionError(NMTuneError):
    """The server was not reached, or the connection broke before a whole answer came."""


class APITimeoutError(APIConnectionError):
    """The server did not answer within the timeout."""


class ConnectionSetupError(APIConnectionError, ValueError):
    """The URL, a proxy of the environment or the certificates cannot be used."""


class BadResponseError(NMTuneError):
    """The answer does not come from an NMTune server: a proxy's page, or JSON without a field."""


@dataclass(frozen=True, kw_only=True)
class FieldError:
    """One thing that is wrong with a request; `row` and `column` count from 0 where they apply."""

    message: str
    field: str | None = None
    row: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = [self.field] if self.field else []
        place += [f"row {self.row}"] if self.row is not None else []
        place += [f"column {self.column}"] if self.column is not None else []
        return f"{', '.join(place)}: {self.message}" if place else self.message


class APIStatusError(NMTuneError):
    """The server answered with an error status (its `application/problem+json`, read).

    `status` is the HTTP status, `code` a stable word to branch on, `detail` a sentence for people,
    `errors` the fields that are wrong, and `request_id` the key to the server's log.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int,
        code: str | None = None,
        request_id: str | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.code = code
        self.request_id = request_id
        self.errors = tuple(errors)

    def __str__(self) -> str:
        code = f" {self.code}" if self.code else ""
        lines = [f"{self.detail} ({self.status}{code})"]
        # a single error is often the detail itself
        news = [e for e in self.errors if e.row is not None or e.message not in self.detail]
        lines += [f"  - {error}" for error in news[:_ERRORS_SHOWN]]
        if len(news) > _ERRORS_SHOWN:
            lines.append(f"  - and {len(news) - _ERRORS_SHOWN} more")
        if self.request_id:
            lines.append(f"  request id: {self.request_id}")
        return "\n".join(lines)


class BadRequestError(APIStatusError):
    """400: the request could not be read."""


class AuthenticationError(APIStatusError):
    """401: no key was sent, or it is not valid; `Client(api_key=...)`, NMTUNE_API_KEY, or login."""


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this, or its tenant is disabled."""


class NotFoundError(APIStatusError):
    """404: no such dataset, job, head, version or alias."""


class ConflictError(APIStatusError):
    """409: the request does not fit the present state, e.g. the report of a running job."""


class PayloadTooLargeError(APIStatusError):
    """413: the body is over the server's limit."""


class UnsupportedMediaTypeError(APIStatusError):
    """415: the server does not read that kind of body."""


class ValidationError(APIStatusError):
    """422: the request was read, and something in it is wrong; see `errors`."""


class RateLimitedError(APIStatusError):
    """429: too many requests."""


class ServerError(APIStatusError):
    """5xx: the server failed or is not ready."""


_BY_STATUS: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: PayloadTooLargeError,
    415: UnsupportedMediaTypeError,
    422: ValidationError,
    429: RateLimitedError,
}


def status_error(
    status: int, problem: object, *, request_id: str | None, fallback: str
) -> APIStatusError:
    """The error for an answer: `problem` is its JSON, `fallback` the detail if that has none."""
    cls = _BY_STATUS.get(status, ServerError if status >= 500 else APIStatusError)
    body: Mapping[str, Any] = problem if isinstance(problem, Mapping) else {}
    raw_errors = body.get("errors")
    errors = [
        FieldError(
            message=str(item.get("message", "")),
            field=item.get("field"),
            row=item.get("row"),
            column=item.get("column"),
        )
        for item in (raw_errors if isinstance(raw_errors, list) else [])
        if isinstance(item, Mapping)
    ]
    return cls(
        str(body.get("detail") or body.get("title") or fallback),
        status=status,
        code=body.get("code"),
        request_id=body.get("request_id") or request_id,
        errors=errors,
    )

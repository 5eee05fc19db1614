"""The one error body, and the one table that gives each error class its status."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from http import HTTPStatus
from typing import Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from nmtune.errors import ConfigError, DataError, HeadFormatError, NMTuneError
from providers.errors import ProviderError
from service.http import provider_problems, validation
from service.http.layers import request_id
from service.http.paths import is_protocol, path_of
from service.http.validation import FieldError
from service.ingest.errors import BadInput
from store import errors as store_errors
from store import trouble
from store.access.secrets import without_keys
from store.errors import StoreError

MEDIA_TYPE: Final = "application/problem+json"
MAX_ERRORS: Final = 20
"""The most entries that `errors` of one body holds; `count` says how many there were."""

RETRY_AFTER_SECONDS: Final = 2

STATUSES: Final[Mapping[type[Exception], HTTPStatus]] = {
    ConfigError: HTTPStatus.UNPROCESSABLE_ENTITY,
    DataError: HTTPStatus.UNPROCESSABLE_ENTITY,
    HeadFormatError: HTTPStatus.SERVICE_UNAVAILABLE,
    store_errors.NotFound: HTTPStatus.NOT_FOUND,
    store_errors.Conflict: HTTPStatus.CONFLICT,
    store_errors.UnknownCandidate: HTTPStatus.UNPROCESSABLE_ENTITY,
    store_errors.HeadDeleted: HTTPStatus.GONE,
    store_errors.JobFileMissing: HTTPStatus.NOT_FOUND,
    store_errors.JobFileExpired: HTTPStatus.GONE,
    store_errors.TooManyEndpoints: HTTPStatus.FORBIDDEN,
    store_errors.QuotaReached: HTTPStatus.FORBIDDEN,
    store_errors.MonthlyQuotaReached: HTTPStatus.TOO_MANY_REQUESTS,
    store_errors.InvalidLimit: HTTPStatus.UNPROCESSABLE_ENTITY,
    store_errors.MessageGone: HTTPStatus.GONE,
    store_errors.InvalidName: HTTPStatus.UNPROCESSABLE_ENTITY,
    store_errors.InvalidScope: HTTPStatus.UNPROCESSABLE_ENTITY,
    store_errors.InvalidCursor: HTTPStatus.UNPROCESSABLE_ENTITY,
    store_errors.InvalidReference: HTTPStatus.UNPROCESSABLE_ENTITY,
    store_errors.IdempotencyKeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    store_errors.InvalidDatasetFile: HTTPStatus.SERVICE_UNAVAILABLE,
    store_errors.ArtifactMissing: HTTPStatus.SERVICE_UNAVAILABLE,
    store_errors.ArtifactCorrupt: HTTPStatus.SERVICE_UNAVAILABLE,
    store_errors.StorageUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    store_errors.DatabaseUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    store_errors.SchemaMismatch: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The HTTP status of each error of the stones; a class that is not listed is a bug: 500."""

_INPUT_STATUSES: Final[Mapping[str, HTTPStatus]] = {
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "too_many_rows": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
"""The codes of BadInput that are only about size."""

_FIELDS: Final[Mapping[type[Exception], str]] = {
    store_errors.InvalidName: "name",
    store_errors.InvalidScope: "scopes",
    store_errors.InvalidCursor: "cursor",
    store_errors.InvalidReference: "head",
    store_errors.UnknownCandidate: "candidate",
    store_errors.IdempotencyKeyReused: "Idempotency-Key",
}
"""The request field of each error that names none itself."""

_BROKEN_ARTIFACT: Final = (
    "The stored file that this answer needs is missing or damaged. Ask the operator to restore it "
    "from a backup, or train the head again."
)
_UNAVAILABLE: Final = "The service cannot reach its storage right now. Try again shortly."
_DETAILS_5XX: Final[Mapping[type[Exception], str]] = {
    HeadFormatError: _BROKEN_ARTIFACT,
    store_errors.InvalidDatasetFile: _BROKEN_ARTIFACT,
    store_errors.ArtifactMissing: _BROKEN_ARTIFACT,
    store_errors.ArtifactCorrupt: _BROKEN_ARTIFACT,
    store_errors.SchemaMismatch: "The database does not fit this version of the service. "
    "Ask the operator to run the migrations.",
}
"""What a user reads where the error's own message may hold paths or SQL; the log has that one."""

_TRANSIENT = (store_errors.StorageUnavailable, store_errors.DatabaseUnavailable)

_HTTP_DETAILS: Final[Mapping[int, str]] = {
    400: "The request could not be read. Check that its body is complete and matches its "
    "Content-Type.",
    404: "There is nothing at this path. /docs lists the paths.",
    405: "This path does not support that method; the Allow header lists those it does.",
}

_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

logger = logging.getLogger(__name__)


class Problem(HTTPException):
    """A refusal by the HTTP API itself, with everything that its body says.

    It is an HTTPException because it may be raised while a body is being read: there FastAPI lets
    only those pass, and turns any other error into a 400.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        row: int | None = None,
        column: int | None = None,
        errors: Sequence[FieldError] = (),
        count: int | None = None,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(status_code=int(status), detail=detail, headers=headers)
        self.code = code
        if field is not None:
            errors = (FieldError(field=field, row=row, column=column, message=detail), *errors)
        self.errors = tuple(errors)
        self.count = len(self.errors) if count is None else count
        self.extensions = dict(extensions or {})

    def response(self, path: str = "") -> Response:
        """The answer to the current request, which asked for `path`.

        It is application/problem+json (RFC 9457); under /v2 `{"error": "..."}`, which the clients
        of that protocol can read.
        """
        is_plain = is_protocol(path)
        body = {"error": self.detail} if is_plain else self._body()
        return Response(
            without_keys(orjson.dumps(body).decode()),  # one may stand where an id belongs
            status_code=self.status_code,
            headers=dict(self.headers or {}),
            media_type="application/json" if is_plain else MEDIA_TYPE,
        )

    def _body(self) -> dict[str, object]:
        return {
            "type": f"urn:nmtune:problem:{self.code}",
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.status_code,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id.current(),
            "errors": [
                asdict(replace(error, field=validation.printable(error.field)))
                for error in self.errors[:MAX_ERRORS]
            ],
            "count": self.count,
            **self.extensions,
        }


INTERNAL: Final = (
    "Something went wrong in the service; it is not your request's fault. If it happens again, "
    "send the operator the request_id, which finds the cause in the log."
)


def internal_problem() -> Problem:
    """What a user reads about a bug: only the request id."""
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", INTERNAL)


def problem_of(error: Exception) -> Problem | None:
    """The problem to answer for `error`, by the table above; None if it is a bug."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _problem_of_validation(error)
        case BadInput():
            return _problem_of_input(error)
        case ProviderError():
            return Problem(
                provider_problems.status_of(error),
                error.code,
                str(error),
                field=provider_problems.field_of(error),
                row=provider_problems.row_of(error),
                headers=provider_problems.headers_of(error),
            )
        case NMTuneError() | store_errors.StoreError():
            return _problem_of_stone(error)
        case HTTPException():
            return _problem_of_http(error)
        case OSError() if trouble.is_disk_trouble(error):
            return _problem_of_stone(trouble.of_os_error(error, "The disk cannot be written now"))
    return None


def install(app: FastAPI) -> None:
    """Give `app` its handlers, so that every error is answered with the one body."""

    async def on_error(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem is None:
            raise error
        if problem.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allow = ", ".join(_allowed_methods(app, request))
            problem.headers = {**(problem.headers or {}), "Allow": allow}
        return problem.response(path_of(request.scope))

    for cls in (
        HTTPException,
        RequestValidationError,
        BadInput,
        NMTuneError,
        StoreError,
        ProviderError,
        OSError,
    ):
        app.add_exception_handler(cls, on_error)


def _problem_of_validation(error: RequestValidationError) -> Problem:
    entries = error.errors()
    errors = validation.field_errors(entries[:MAX_ERRORS])
    detail = validation.sentence(errors[0])
    return _problem_of_places(422, "invalid_request", errors, detail=detail, count=len(entries))


def _problem_of_input(error: BadInput) -> Problem:
    places = [
        FieldError(field=p.field or "body", row=p.row, column=p.column, message=p.message)
        for p in error.places
    ]
    usual = HTTPStatus.BAD_REQUEST if error.malformed else HTTPStatus.UNPROCESSABLE_ENTITY
    status = _INPUT_STATUSES.get(error.code, usual)
    return _problem_of_places(status, error.code, places, detail=error.message, count=error.count)


def _problem_of_places(
    status: int, code: str, errors: Sequence[FieldError], *, detail: str, count: int
) -> Problem:
    n_listed = min(len(errors), MAX_ERRORS)
    where = "see errors" if count == n_listed else f"errors has the first {n_listed}"
    more = "" if count == 1 else f" ({count - 1:,} more: {where}.)"
    return Problem(status, code, detail + more, errors=errors, count=count)


def _problem_of_stone(error: NMTuneError | StoreError) -> Problem | None:
    found = next((cls for cls in type(error).__mro__ if cls in STATUSES), None)
    if found is None:
        return None
    status = STATUSES[found]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("request.unavailable code=%s reason=%s", error.code, error)
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if isinstance(error, _TRANSIENT) else {}
        detail = getattr(error, "advice", None) or _DETAILS_5XX.get(found, _UNAVAILABLE)
        return Problem(status, error.code, detail, headers=headers)
    if isinstance(error, ConfigError):
        field = "config" if error.field is None else f"config.{error.field}"
        return Problem(status, error.code, error.message, field=field)
    if isinstance(error, DataError):
        return Problem(
            status,
            error.code,
            error.message,
            field=error.field or "body",
            row=error.row,
            column=error.column,
        )
    if isinstance(error, store_errors.QuotaReached):
        return _problem_of_quota(status, error)
    return Problem(status, error.code, str(error), field=_FIELDS.get(found))


def _problem_of_quota(status: HTTPStatus, error: store_errors.QuotaReached) -> Problem:
    headers = {}
    if isinstance(error, store_errors.MonthlyQuotaReached):
        headers["Retry-After"] = str(math.ceil(error.seconds_left))
    told = {"limit": error.limit, "allowed": error.allowed, "used": error.used}
    return Problem(status, error.code, str(error), headers=headers, extensions=told)


def _problem_of_http(error: HTTPException) -> Problem:
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "_").replace("-", "_")
    detail = _HTTP_DETAILS.get(status, status.description or status.phrase)
    return Problem(status, code, detail, headers=error.headers)


def _allowed_methods(app: FastAPI, request: Request) -> list[str]:
    """All methods that the path supports; the router names only those of the first route it met."""
    scope = {"type": "http", "path": request.scope["path"], "headers": []}
    scope["root_path"] = request.scope.get("root_path", "")

    def knows(method: str) -> bool:
        if method == "HEAD" and knows("GET"):
            return True
        probe = {**scope, "method": method}
        return any(route.matches(probe)[0] is Match.FULL for route in app.router.routes)

    return [method for method in _METHODS if knows(method)]

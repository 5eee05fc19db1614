"""How large a body may be and how slowly it may arrive, whatever reads it."""

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from service.http.errors import Problem
from service.http.json_body import is_json

_JSON_ADVICE: Final = (
    "Send embeddings as base64 float32 rather than as lists; to train on them, upload an .npz file "
    "to POST /datasets; to predict, send them in several requests."
)
_UPLOAD_ADVICE: Final = "Save the embeddings as float16, which halves them, or send fewer rows."


@dataclass(frozen=True, kw_only=True)
class BodyLimits:
    """The limits of one application's bodies."""

    max_json_bytes: int
    max_upload_bytes: int
    upload_paths: re.Pattern[str]
    """The paths that take uploads, which are all bodies that are not JSON."""
    seconds: float
    """How long the client may be waited for, in all."""
    bytes_per_second: float
    """The bytes that came give it more time, as much as they take at this rate."""

    def check(self, n_bytes: int, *, path: str, content_type: str | None) -> None:
        """Raise Problem 413 if the body of such a request may not have so many bytes."""
        if n_bytes <= min(self.max_json_bytes, self.max_upload_bytes):
            return
        is_upload = self.upload_paths.fullmatch(path) is not None and not is_json(content_type)
        limit = self.max_upload_bytes if is_upload else self.max_json_bytes
        if n_bytes > limit:
            raise _too_large(limit, _UPLOAD_ADVICE if is_upload else _JSON_ADVICE)

    def seconds_left(self, *, n_bytes: int, waited: float) -> float:
        """How long the client may still be waited for."""
        return self.seconds + n_bytes / self.bytes_per_second - waited


def _too_large(limit: int, advice: str) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "body_too_large",
        f"The body is larger than the {limit:,} bytes that this request may have. {advice}",
        headers={"Connection": "close"},
    )


def too_slow() -> Problem:
    """The refusal of a body that took too long."""
    return Problem(
        HTTPStatus.REQUEST_TIMEOUT,
        "body_too_slow",
        "The body arrived too slowly and was not read to its end. Send it again.",
        headers={"Connection": "close"},
    )

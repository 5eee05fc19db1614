"""What of a request may say who asks: one key, or one session's cookie, and never both."""

from http import HTTPStatus
from typing import Final

from starlette.types import Scope

from service.http.errors import Problem
from store.access.secrets import PREFIX

COOKIE: Final = "__Host-nmtune"
"""Browsers take a cookie of this prefix only over TLS or from loopback, and for this host alone."""

_COOKIE: Final = f"{COOKIE}=".encode()
_PREFIX: Final = PREFIX.encode()
_LONGEST: Final = 200
"""Bytes of an Authorization header or cookie that may be a secret of ours."""


class WrongKeyError(Exception):
    """Something was sent as a key that cannot be one."""


def bare_key(scope: Scope) -> bytes | None:
    """The key of a request that brings one key and nothing else; None: `read` must look closer."""
    header: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if header is not None:
                return None
            header = value
        elif name == b"cookie":
            return None
    if header is None or not header.startswith(b"Bearer ") or _PREFIX in scope["query_string"]:
        return None
    return header[7:]


def read(scope: Scope) -> tuple[str | None, str | None]:
    """The key and the session's token that a request brings, at most one of them.

    Raises Problem if it is not clear who asks, WrongKeyError for what cannot be a key.
    """
    sent: list[bytes] = []
    token: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            sent.append(value)
        elif name == b"cookie" and _COOKIE in value:
            token = _token(value)
    if _PREFIX in scope["query_string"]:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "ambiguous_credentials",
            "There is a key in this address, where logs and histories keep it: revoke that key, "
            "and send keys in the header Authorization alone.",
        )
    if len(sent) > 1 or (sent and token is not None):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "ambiguous_credentials",
            "This request says twice who asks. Send one header Authorization, or the cookie of a "
            "session, but not both.",
        )
    return (_key(sent[0]) if sent else None, token.decode("latin-1") if token else None)


def _key(header: bytes) -> str:
    scheme, _, rest = header.partition(b" ")
    key = rest.strip().decode("latin-1")
    if scheme.lower() != b"bearer" or len(header) > _LONGEST:
        raise WrongKeyError
    return key


def _token(cookies: bytes) -> bytes | None:
    for part in cookies.split(b";"):
        part = part.strip()
        if part.startswith(_COOKIE):
            return part[len(_COOKIE) :][:_LONGEST] or None
    return None

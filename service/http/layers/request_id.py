"""The request id: which ones are accepted, and which one is being served."""

import re
import secrets
from contextvars import ContextVar
from typing import Final

from store.access.secrets import PREFIX

HEADER: Final = "X-Request-Id"

_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_current: ContextVar[str | None] = ContextVar("nmtune_request_id", default=None)


def accept_or_make(given: str | None) -> str:
    """`given` if it is safe to log and to send back (1 to 64 of A-Za-z0-9._-), else a new one."""
    if given is not None and _SANE.fullmatch(given) and PREFIX not in given:
        return given
    return f"req_{secrets.token_hex(12)}"


def bind(request_id: str) -> None:
    """Make `request_id` the current one in this task and in the threads it starts work on."""
    _current.set(request_id)


def current() -> str | None:
    """The id of the request being served, or None outside of one."""
    return _current.get()

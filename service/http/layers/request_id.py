"""The request id: which ones are accepted, and which one is being served."""

import os
import re
import secrets
from contextvars import ContextVar
from typing import Final

from store.access.secrets import PREFIX

HEADER: Final = "X-Request-Id"

_AT_ONCE: Final = 256
_spare: list[str] = []
os.register_at_fork(after_in_child=_spare.clear)  # or two processes would give the same ids

_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_current: ContextVar[str | None] = ContextVar("nmtune_request_id", default=None)


def accept_or_make(given: str | None) -> str:
    """`given` if it is safe to log and to send back (1 to 64 of A-Za-z0-9._-), else a new one."""
    if given is not None and _SANE.fullmatch(given) and PREFIX not in given:
        return given
    try:
        return _spare.pop()
    except IndexError:
        _spare.extend(_made())
        return f"req_{secrets.token_hex(12)}"


def _made() -> list[str]:
    """New ids, many at once: asking the system for random bytes costs more than all the rest."""
    digits = secrets.token_hex(12 * _AT_ONCE)
    return [f"req_{digits[at : at + 24]}" for at in range(0, len(digits), 24)]


def bind(request_id: str) -> None:
    """Make `request_id` the current one in this task and in the threads it starts work on."""
    _current.set(request_id)


def current() -> str | None:
    """The id of the request being served, or None outside of one."""
    return _current.get()

"""Links that sign the operator in once, printed by the server on its own machine.

They live in the server's memory alone: whoever can read its output owns the machine, and ten
minutes later they are worth nothing.
"""

import os
import time
from typing import Final, NamedTuple

from store.access import secrets

LIVES_SECONDS: Final = 600.0


class _Link(NamedTuple):
    ends_at: float
    token: int
    """A pipe with one byte in it: whoever reads the byte has used the link."""


class LoginLinks:
    """Codes that are good once, for ten minutes.

    A code that is made before processes are forked is good once in all of them together.
    """

    def __init__(self) -> None:
        self._links: dict[str, _Link] = {}

    def new_code(self) -> str:
        """A new code; of it only the hash is kept."""
        code = secrets.new_token()
        token, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        os.write(write_end, b"1")
        os.close(write_end)
        self._links[secrets.sha256_of(code)] = _Link(time.monotonic() + LIVES_SECONDS, token)
        return code

    def use(self, code: str) -> bool:
        """Whether the code is good; it is not from then on."""
        link = self._links.pop(secrets.sha256_of(code), None)
        if link is None:
            return False
        is_first = bool(os.read(link.token, 1))
        os.close(link.token)
        return is_first and link.ends_at > time.monotonic()

"""Links that sign the operator in once, printed by the server on its own machine.

They live in this process alone: whoever can read its output owns the machine, and ten minutes later
they are worth nothing.
"""

import time
from typing import Final

from store.access import secrets

LIVES_SECONDS: Final = 600.0


class LoginLinks:
    """Codes that are good once, for ten minutes."""

    def __init__(self) -> None:
        self._ends_at: dict[str, float] = {}

    def new_code(self) -> str:
        """A new code; of it only the hash is kept."""
        code = secrets.new_token()
        self._ends_at[secrets.sha256_of(code)] = time.monotonic() + LIVES_SECONDS
        return code

    def use(self, code: str) -> bool:
        """Whether the code is good; it is not from then on."""
        return self._ends_at.pop(secrets.sha256_of(code), 0.0) > time.monotonic()

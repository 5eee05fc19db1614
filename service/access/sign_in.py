"""One attempt to sign in at the company's provider, kept by the browser that began it.

The cookie holds one random secret; what the provider is told (state, nonce, and the hash of the
verifier) is derived from it. So an answer is good in that browser alone, and once.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import quote, unquote

from store.access import secrets

COOKIE: Final = "__Host-nmtune-sign-in"
LIVES_SECONDS: Final = 600
"""How long a browser keeps an attempt."""
ENDED: Final = f"{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"
"""The `Set-Cookie` that ends it."""


@dataclass(frozen=True)
class SignIn:
    """An attempt, and the page that it leads to."""

    secret: str = field(repr=False)
    then: str

    @classmethod
    def new(cls, then: str) -> Self:
        """An attempt of 256 random bits."""
        return cls(secrets.new_token(), then)

    @classmethod
    def read(cls, cookie: str | None) -> Self | None:
        """The attempt that a browser kept."""
        secret, dot, then = (cookie or "").partition(".")
        return cls(secret, unquote(then)) if secret and dot else None

    @property
    def state(self) -> str:
        """What the provider sends back with its answer."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """What the provider puts into the token."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """What only who began the attempt can show for the code (PKCE)."""
        return self._derived("verifier")

    def is_answered_by(self, state: str) -> bool:
        """Whether an answer with this state is one to this attempt."""
        return hmac.compare_digest(state.encode(), self.state.encode())

    def set_cookie(self) -> str:
        """The `Set-Cookie` with which the browser keeps it."""
        value = f"{self.secret}.{quote(self.then, safe='')}"
        return f"{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={LIVES_SECONDS}"

    def _derived(self, purpose: str) -> str:
        digest = hashlib.sha256(f"{purpose}:{self.secret}".encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

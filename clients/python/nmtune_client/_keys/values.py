"""Keys of the API, and who asks with one, as the server describes them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from nmtune_client._http.values import build, known_in, time_of
from nmtune_client._show.reprs import Shown


@dataclass(frozen=True, kw_only=True, repr=False)
class ApiKey(Shown):
    """What the server knows of a key; the key itself it does not store."""

    id: str
    name: str
    hint: str
    """Its beginning and its last 4 characters."""
    scopes: list[str]
    heads: list[str] | None = None
    """The only heads that it predicts with; None: all."""
    created_at: datetime | None = None
    created_by: str | None = None
    expires_at: datetime | None = None
    never_expires: bool = False
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    """To five minutes."""
    successor_id: str | None = None
    """The key that a rotation made."""

    @classmethod
    def from_json(cls, data: object) -> Self:
        times = ("created_at", "expires_at", "revoked_at", "last_used_at")
        return build(cls, known_in(cls, data, **{name: time_of(data, name) for name in times}))


@dataclass(frozen=True, kw_only=True, repr=False)
class NewApiKey(ApiKey):
    """A key just made. `key` is shown this once; its repr leaves it out."""

    key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, repr=False)
class Identity(Shown):
    """Who asks, as the server sees it."""

    tenant_id: str
    key_id: str | None = None
    subject: str | None = None
    """Who signed in by the company's identity provider; programs have keys."""
    name: str | None = None
    """The key's name."""
    scopes: list[str] = field(default_factory=list)
    """With all that they hold."""
    heads: list[str] | None = None
    expires_at: datetime | None = None
    keys_on: bool = True
    """Whether the server wants keys at all."""

    @classmethod
    def from_json(cls, data: object) -> Self:
        return build(cls, known_in(cls, data, expires_at=time_of(data, "expires_at")))

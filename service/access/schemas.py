"""JSON shapes of keys and sessions, with one example each."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.http.fields import Cursor, Limit, Name
from store.access import keys as stored
from store.access.scopes import MAX_HEADS

ScopeName = Literal["predict", "read", "write", "admin"]

_SCOPES = (
    "`predict`: predictions, and what heads there are; `read`: everything that is stored; `write`: "
    "datasets, jobs, heads and aliases; `admin`: keys. Each holds those before it."
)


class KeyCreate(BaseModel):
    """A key to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "web", "scopes": ["predict"], "heads": ["pets"]}]},
    )

    name: Name = Field(description="What it is for; several keys may have one name.")
    scopes: Annotated[list[ScopeName], Field(min_length=1, max_length=4, description=_SCOPES)]
    heads: Annotated[
        list[Name] | None,
        Field(
            min_length=1,
            max_length=MAX_HEADS,
            description="The only heads that a key of the scope predict is good for.",
        ),
    ] = None
    expires_in_seconds: Annotated[
        int | Literal["never"],
        Field(
            description="How long it lives (90 days unless said), or `never` for no end.",
            examples=[int(30 * stored.DAY)],
        ),
    ] = int(stored.USUAL_SECONDS)

    @model_validator(mode="after")
    def _lives(self) -> Self:
        seconds = self.expires_in_seconds
        if seconds != "never" and not 1 <= seconds <= stored.MAX_SECONDS:
            raise ValueError(
                f"expires_in_seconds must be 1 to {stored.MAX_SECONDS:.0f} seconds, or 'never'"
            )
        return self

    @property
    def keep_seconds(self) -> float | None:
        """How long it lives; None: without an end."""
        return None if self.expires_in_seconds == "never" else float(self.expires_in_seconds)


class KeyRotate(BaseModel):
    """How a key gives way to its successor."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"overlap_seconds": 86400}]}
    )

    overlap_seconds: int = Field(
        default=int(stored.USUAL_OVERLAP_SECONDS),
        ge=0,
        le=int(stored.MAX_OVERLAP_SECONDS),
        description="How long the old key goes on beside the new one: up to 7 days.",
    )


_KEY: dict[str, Any] = {
    "id": "key_01k9z6v3t2n8m4q7r5s1w0x9y8",
    "name": "web",
    "hint": "nmk_...x7Qa",
    "scopes": ["predict"],
    "heads": ["pets"],
    "created_at": "2026-12-01T09:30:00Z",
    "created_by": "operator",
    "expires_at": "2027-03-01T09:30:00Z",
    "never_expires": False,
    "revoked_at": None,
    "last_used_at": "2026-12-01T09:40:00Z",
    "successor_id": None,
}


class Key(BaseModel):
    """What is known of a key. The key itself is not stored, so nobody can show it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_KEY]})

    id: str
    name: str
    hint: str = Field(description="The beginning and the last 4 characters.")
    scopes: list[str]
    heads: list[str] | None = Field(description="The only heads that it is good for; null: all.")
    created_at: datetime
    created_by: str = Field(description="The id of the key that made it, a member, or operator.")
    expires_at: datetime | None
    never_expires: bool
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To five minutes.")
    successor_id: str | None = Field(description="The key that a rotation made.")

    @classmethod
    def of(cls, record: stored.ApiKey) -> Self:
        """The stored key as the API shows it."""
        return cls(**_fields(record))


class MadeKey(Key):
    """A key just made, with the key itself, which no later answer shows."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_KEY, "key": "nmk_ shown once, keep it now"}]}
    )

    key: str = Field(description="The key. Keep it now: it cannot be shown again.")

    @classmethod
    def made(cls, new: stored.NewKey) -> Self:
        """A new key as the API shows it, once."""
        return cls(key=new.secret, **_fields(new.key))


def _fields(record: stored.ApiKey) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "hint": f"nmk_...{record.last4}",
        "scopes": list(record.scopes),
        "heads": None if record.heads is None else list(record.heads),
        "created_at": record.created_at,
        "created_by": record.created_by,
        "expires_at": record.expires_at,
        "never_expires": record.expires_at is None,
        "revoked_at": record.revoked_at,
        "last_used_at": record.last_used_at,
        "successor_id": record.successor_id,
    }


class KeyQuery(BaseModel):
    """Which keys to list."""

    model_config = ConfigDict(extra="forbid")

    cursor: Cursor = None
    limit: Limit = 50


class KeyPage(BaseModel):
    """Keys, newest first, ended ones too."""

    items: list[Key]
    next_cursor: str | None


class SessionCreate(BaseModel):
    """What opens a browser's session: a key, or the code of the link that the server printed."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"key": "nmk_ your key"}]}
    )

    key: str | None = Field(default=None, max_length=200, description="A key.")
    code: str | None = Field(
        default=None, max_length=200, description="What follows the # in the link: good once."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.key is None) == (self.code is None):
            raise ValueError("send either key or code")
        return self


class Who(BaseModel):
    """Who asks, as the server sees it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "tenant_id": "default",
                    "key_id": _KEY["id"],
                    "subject": None,
                    "name": "web",
                    "scopes": ["predict"],
                    "heads": ["pets"],
                    "expires_at": _KEY["expires_at"],
                    "keys_on": True,
                }
            ]
        }
    )

    tenant_id: str
    key_id: str | None = Field(
        description="null: the operator, a member of the company, or a server without keys."
    )
    subject: str | None = Field(
        description="Who signed in by the company's identity provider: subject and issuer."
    )
    name: str | None = Field(description="The key's name.")
    scopes: list[str] = Field(description="With all that they hold.")
    heads: list[str] | None
    expires_at: datetime | None = Field(description="When the key expires; null: never.")
    keys_on: bool = Field(description="Whether this server wants keys.")

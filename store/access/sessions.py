"""Sessions of browsers: each has the rights of the key, operator or member that opened it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from store.access import secrets
from store.access.keys import ApiKey
from store.database import tables
from store.database.clock import now, read_clock, seconds_from_now
from store.database.connection import Transaction

ABSOLUTE_SECONDS: Final = 12 * 3600.0
"""How long a session lives at most."""
IDLE_SECONDS: Final = 2 * 3600.0
"""How long it lives without a request."""
OPERATOR: Final = "operator"
"""Whose a session without key and subject is."""
SEEN_SECONDS: Final = 60.0
"""How exact `seen_at` is: it is not written more often."""

_sessions = tables.sessions.c
_keys = tables.api_keys.c
_tenants = tables.tenants.c


@dataclass(frozen=True, kw_only=True)
class Session:
    """A browser's session that is still good."""

    tenant_id: str
    sha256: str
    key_id: str | None
    """None without a subject: the operator's, who followed the link that the server printed."""
    subject: str | None
    """Who it is by the word of the company's identity provider."""
    scopes: tuple[str, ...]
    heads: tuple[str, ...] | None
    expires_at: datetime
    """The end, however busy it is."""
    was_seen: bool
    """Whether `seen_at` is recent enough to be left as it is."""
    tenant_disabled: bool


def create(
    tx: Transaction,
    tenant_id: str,
    *,
    key: ApiKey | None,
    scopes: tuple[str, ...],
    subject: str | None = None,
) -> str:
    """Open a session with the rights of a key, or with `scopes` for the operator or for a member;
    its token."""
    token = secrets.new_token()
    tx.execute(delete(tables.sessions).where(_sessions.expires_at <= now()))
    tx.execute(
        insert(tables.sessions).values(
            tenant_id=tenant_id,
            sha256=secrets.sha256_of(token),
            key_id=None if key is None else key.id,
            subject=subject,
            scopes=list(scopes),
            created_at=now(),
            seen_at=now(),
            expires_at=seconds_from_now(ABSOLUTE_SECONDS),
        )
    )
    return token


def find(tx: Transaction, token: str) -> Session | None:
    """The session of a token while it, and the key that opened it, are good. Crosses tenants."""
    same_key = (_keys.tenant_id == _sessions.tenant_id) & (_keys.id == _sessions.key_id)
    query = (
        select(
            *_sessions,
            _keys.heads,
            _keys.revoked_at,
            _keys.expires_at.label("key_expires_at"),
            _tenants.disabled_at,
        )
        .join(tables.tenants, _tenants.tenant_id == _sessions.tenant_id)
        .outerjoin(tables.api_keys, same_key)
        .where(_sessions.sha256 == secrets.sha256_of(token))
    )
    row = tx.execute(query).one_or_none()
    if row is None:
        return None
    at = read_clock(tx)
    ends = [row.expires_at, row.seen_at + timedelta(seconds=IDLE_SECONDS)]
    if row.key_expires_at is not None:
        ends.append(row.key_expires_at)
    if row.revoked_at is not None or min(ends) <= at:
        return None
    return Session(
        tenant_id=row.tenant_id,
        sha256=row.sha256,
        key_id=row.key_id,
        subject=row.subject,
        scopes=tuple(row.scopes),
        heads=None if row.heads is None else tuple(row.heads),
        expires_at=min(ends[:1] + ends[2:]),
        was_seen=at - row.seen_at < timedelta(seconds=SEEN_SECONDS),
        tenant_disabled=row.disabled_at is not None,
    )


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is known of a session without its token."""

    by: str
    """A key's id, a member's subject, or `operator`."""
    created_at: datetime
    seen_at: datetime


def listed(tx: Transaction, tenant_id: str) -> list[Kept]:
    """A tenant's sessions, those that ended by themselves too, the newest first."""
    query = (
        select(_by().label("by"), _sessions.created_at, _sessions.seen_at)
        .where(_sessions.tenant_id == tenant_id)
        .order_by(_sessions.created_at.desc(), _sessions.sha256)
    )
    return [
        Kept(by=row.by, created_at=row.created_at, seen_at=row.seen_at) for row in tx.execute(query)
    ]


def end_all(tx: Transaction, tenant_id: str, *, by: str | None = None) -> int:
    """End a tenant's sessions, or those of one key, member or the operator; how many."""
    chosen = [_sessions.tenant_id == tenant_id, *([] if by is None else [_by() == by])]
    return tx.execute(delete(tables.sessions).where(*chosen)).rowcount


def _by() -> ColumnElement[str]:
    return func.coalesce(_sessions.key_id, _sessions.subject, OPERATOR)


def note_seen(tx: Transaction, session: Session) -> None:
    """Note that the session was used just now."""
    tx.execute(update(tables.sessions).where(*_mine(session)).values(seen_at=now()))


def end(tx: Transaction, session: Session) -> None:
    """End it: its token opens nothing any more."""
    tx.execute(delete(tables.sessions).where(*_mine(session)))


def shown(sha256: str) -> str:
    """A session's name for people: it opens nothing."""
    return f"session_{sha256[:12]}"


def _mine(session: Session) -> tuple[ColumnElement[bool], ...]:
    return (_sessions.tenant_id == session.tenant_id, _sessions.sha256 == session.sha256)

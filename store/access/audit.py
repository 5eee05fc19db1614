"""The audit: who did what to what, written in the transaction of the act.

So a row is there if and only if its act was committed. A row names things, and never holds a
secret, a text, a label or a vector. What was refused is in the log alone: a table would be a way to
fill the disk. Ids sort by time; a counter would let the acts of a tenant wait for each other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from store.access.secrets import without_keys
from store.database import cursors, tables
from store.database.clock import now, seconds_from_now
from store.database.connection import Transaction
from store.database.cursors import AnyRow, Page
from store.errors import NotFound
from store.ids import new_id

DONE: Final = "done"
UNCHANGED: Final = "unchanged"
"""The outcome of an act that found everything as it was to be, such as revoking a key twice."""

MOST_CHARACTERS: Final = 200
"""Of one value of the details; a longer one is cut."""
MOST_LISTED: Final = 20

Value = str | int | float | bool | None

_audit = tables.audit.c
_LIST: Final = "audit"
_WEBHOOK_SECRET: Final = re.compile(r"whsec_[A-Za-z0-9+/=]+")


class ActorKind(StrEnum):
    """What kind of somebody acted."""

    KEY = "key"
    SESSION = "session"
    """A browser that signed in: with a key, or as the operator."""
    OPERATOR = "operator"
    """Somebody on the server's machine."""
    WORKER = "worker"
    """The service itself: a worker that published, a sweep that removed what had expired."""
    ANYONE = "anyone"
    """Whoever reached a server that wants no keys."""


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who acts, for which tenant, and by which request."""

    tenant_id: str
    kind: ActorKind
    id: str
    """The key's id, also of a session that it opened; `operator`, `anyone`, or a worker's name."""
    request_id: str | None = None
    address: str | None = None
    """Where the request came from."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One act."""

    tenant_id: str
    id: str
    at: datetime
    actor_kind: str
    actor_id: str
    action: str
    target: str
    outcome: str
    request_id: str | None
    address: str | None
    details: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which entries to read; None leaves a choice out."""

    since: datetime | None = None
    until: datetime | None = None
    """Before this moment."""
    actor: str | None = None
    action: str | None = None
    target: str | None = None


def operator(tenant_id: str) -> Actor:
    """Somebody on the server's machine."""
    return Actor(tenant_id=tenant_id, kind=ActorKind.OPERATOR, id="operator")


def worker(tenant_id: str, name: str) -> Actor:
    """The service itself."""
    return Actor(tenant_id=tenant_id, kind=ActorKind.WORKER, id=name)


def note(
    tx: Transaction,
    actor: Actor,
    action: str,
    target: str,
    *,
    outcome: str = DONE,
    **details: Value | list[str],
) -> None:
    """Note an act, in its own transaction.

    action: `noun.verb`, such as `alias.moved`. target: the id, name or reference of what it was
    done to. details: names, ids and numbers. Raises NotFound if the tenant has been deleted, which
    undoes the act; TypeError for details that are no small values.
    """
    row = {
        "tenant_id": actor.tenant_id,
        "id": new_id("aud"),
        "at": now(),
        "actor_kind": actor.kind.value,
        "actor_id": actor.id[:255],
        "action": action,
        "target": _shown(target)[:300],
        "outcome": outcome,
        "request_id": actor.request_id,
        "address": None if actor.address is None else actor.address[:64],
        "details": _small(details),
    }
    try:
        tx.execute(insert(tables.audit).values(**row))
    except IntegrityError as error:
        raise NotFound("tenant", actor.tenant_id) from error


def page(
    tx: Transaction,
    tenant_id: str,
    wanted: Wanted = Wanted(),
    *,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[Entry]:
    """The tenant's entries, newest first. Raises InvalidCursor."""
    given = {
        _audit.actor_id: wanted.actor,
        _audit.action: wanted.action,
        _audit.target: wanted.target,
    }
    where = [column == value for column, value in given.items() if value is not None]
    if wanted.since is not None:
        where.append(_audit.at >= wanted.since)
    if wanted.until is not None:
        where.append(_audit.at < wanted.until)
    columns = [_audit[one.name] for one in fields(Entry)]
    mine = select(*columns).where(_audit.tenant_id == tenant_id, *where)
    query = cursors.paged(mine, _audit.at, _audit.id, kind=_LIST, cursor=cursor, limit=limit)
    rows = tx.execute(query).all()
    return cursors.page_of(
        rows, _record, kind=_LIST, limit=limit, position=lambda one: (one.at, one.id)
    )


def prune(tx: Transaction, *, days: float) -> int:
    """Forget what is older, of all tenants; return how many. 0 days: keep all, for ever."""
    if days == 0:
        return 0
    old = _audit.at <= seconds_from_now(-days * 86_400.0)
    return tx.execute(delete(tables.audit).where(old)).rowcount


def _small(details: Mapping[str, Value | list[str]]) -> dict[str, Any]:
    return {
        name: [_shown(one) for one in value[:MOST_LISTED]]
        if isinstance(value, list)
        else _shown_value(name, value)
        for name, value in details.items()
    }


def _shown_value(name: str, value: object) -> Value:
    if isinstance(value, str):
        return _shown(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    raise TypeError(f"the audit takes small values, and {name} is a {type(value).__name__}")


def _shown(text: str) -> str:
    """The text without what looks like a secret, should somebody give a thing such a name."""
    return _WEBHOOK_SECRET.sub("whsec_...", without_keys(text))[:MOST_CHARACTERS]


def _record(row: AnyRow) -> Entry:
    return Entry(**{one.name: getattr(row, one.name) for one in fields(Entry)})

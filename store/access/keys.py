"""Keys of the API: made, shown once, found by their hash, rotated and revoked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, insert, or_, select, update

from store.access import scopes as rules
from store.access import secrets, tenants
from store.database import cursors, tables
from store.database.clock import now, read_clock, seconds_from_now
from store.database.connection import Transaction
from store.database.cursors import AnyRow, Page
from store.errors import KeyEnded, LastAdminKey, NotFound
from store.ids import new_id
from store.names import check_name

DAY: Final = 86_400.0
USUAL_SECONDS: Final = 90 * DAY
"""How long a key lives unless one says otherwise."""
MAX_SECONDS: Final = 100 * 365 * DAY
MAX_OVERLAP_SECONDS: Final = 7 * DAY
"""How long a rotated key may go on beside its successor, at most."""
USUAL_OVERLAP_SECONDS: Final = DAY
WARNING_SECONDS: Final = 7 * DAY
"""How long before a key's end webhooks are told of it. Who makes a shorter one knows it."""
USE_NOTED_SECONDS: Final = 300.0
"""How exact `last_used_at` is: it is not written more often."""

_keys = tables.api_keys.c
_tenants = tables.tenants.c
_LIST: Final = "api_keys"


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """What is known of a key; the key itself is not stored."""

    tenant_id: str
    id: str
    name: str
    last4: str
    scopes: tuple[str, ...]
    heads: tuple[str, ...] | None
    """The only heads that a key for predictions is good for; None: all."""
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """To five minutes."""
    successor_id: str | None
    """The key that a rotation made."""

    def is_active(self, at: datetime) -> bool:
        """Whether it opens anything at that moment."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > at)


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A key just made, and the secret that only its maker sees."""

    key: ApiKey
    secret: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """A key by its hash, and what else decides whether it is good."""

    key: ApiKey
    key_changes: int
    """The tenant's count when it was read; see `tenants.key_changes`."""
    tenant_disabled: bool


def create(
    tx: Transaction,
    tenant_id: str,
    *,
    name: str,
    scopes: Sequence[str],
    heads: Sequence[str] | None = None,
    keep_seconds: float | None = USUAL_SECONDS,
    created_by: str,
) -> NewKey:
    """Make a key. keep_seconds: until it expires; None: never.

    Raises InvalidName, InvalidScope, NotFound if there is no such tenant.
    """
    check_name("key", name)
    rules.check(scopes, heads)
    tenants.get(tx, tenant_id)
    secret = secrets.new_key()
    at = read_clock(tx)
    key = ApiKey(
        tenant_id=tenant_id,
        id=new_id("key"),
        name=name,
        last4=secret[-4:],
        scopes=tuple(one for one in rules.SCOPES if one in scopes),
        heads=None if heads is None else tuple(dict.fromkeys(heads)),
        created_at=at,
        created_by=created_by,
        expires_at=None if keep_seconds is None else at + timedelta(seconds=keep_seconds),
        revoked_at=None,
        last_used_at=None,
        successor_id=None,
    )
    values = {one.name: getattr(key, one.name) for one in fields(key)}
    values |= {"scopes": list(key.scopes), "heads": key.heads and list(key.heads)}
    if keep_seconds is not None and keep_seconds <= WARNING_SECONDS:
        values["expiry_told_at"] = at
    tx.execute(insert(tables.api_keys).values(sha256=secrets.sha256_of(secret), **values))
    return NewKey(key=key, secret=secret)


def get(tx: Transaction, tenant_id: str, key_id: str) -> ApiKey:
    """The key. Raises NotFound."""
    query = _select().where(_keys.tenant_id == tenant_id, _keys.id == key_id)
    row = tx.execute(query).one_or_none()
    if row is None:
        raise NotFound("key", key_id)
    return _record(row)


def page(
    tx: Transaction, tenant_id: str, *, limit: int = 100, cursor: str | None = None
) -> Page[ApiKey]:
    """The tenant's keys, newest first, ended ones too. Raises InvalidCursor."""
    mine = _select().where(_keys.tenant_id == tenant_id)
    query = cursors.paged(mine, _keys.created_at, _keys.id, kind=_LIST, cursor=cursor, limit=limit)
    rows = tx.execute(query).all()
    return cursors.page_of(
        rows, _record, kind=_LIST, limit=limit, position=lambda key: (key.created_at, key.id)
    )


def find(tx: Transaction, sha256: str) -> Found | None:
    """The key with this hash, whoever owns it: it says itself who asks. Crosses tenants."""
    query = (
        select(*_columns(), _tenants.key_changes, _tenants.disabled_at.label("disabled"))
        .join(tables.tenants, _tenants.tenant_id == _keys.tenant_id)
        .where(_keys.sha256 == sha256)
    )
    row = tx.execute(query).one_or_none()
    if row is None:
        return None
    return Found(
        key=_record(row),
        key_changes=row.key_changes,
        tenant_disabled=row.disabled is not None,
    )


def revoke(tx: Transaction, tenant_id: str, key_id: str, *, force: bool = False) -> ApiKey:
    """End a key now; ending one that has ended changes nothing.

    Raises NotFound, and LastAdminKey if nobody could make keys over HTTP afterwards, unless
    `force`.
    """
    tenants.note_key_change(tx, tenant_id)
    key = get(tx, tenant_id, key_id)
    at = read_clock(tx)
    if not key.is_active(at):
        return key
    if not force and "admin" in key.scopes and not _others_administer(tx, key, at):
        raise LastAdminKey(
            f"{key.name} is the last key with the scope admin. Make another one first, or revoke "
            "it with force=true; then only nmtune-server keys create, on the server's machine, "
            "makes new ones."
        )
    _change(tx, key, revoked_at=at)
    return get(tx, tenant_id, key_id)


def rotate(
    tx: Transaction,
    tenant_id: str,
    key_id: str,
    *,
    overlap_seconds: float = USUAL_OVERLAP_SECONDS,
    created_by: str,
) -> NewKey:
    """Make a key with the same rights and the same span of life; the old one ends soon.

    overlap_seconds: how long the old one goes on. Raises NotFound, and KeyEnded if it has ended
    or was rotated before.
    """
    tenants.note_key_change(tx, tenant_id)
    key = get(tx, tenant_id, key_id)
    at = read_clock(tx)
    if not key.is_active(at):
        raise KeyEnded(f"The key {key.name} has ended. Make a new one.")
    if key.successor_id is not None:
        raise KeyEnded(f"The key {key.name} was rotated before: {key.successor_id} follows it.")
    span = None if key.expires_at is None else (key.expires_at - key.created_at).total_seconds()
    new = create(
        tx,
        tenant_id,
        name=key.name,
        scopes=key.scopes,
        heads=key.heads,
        keep_seconds=span,
        created_by=created_by,
    )
    end = at + timedelta(seconds=overlap_seconds)
    if key.expires_at is not None:
        end = min(end, key.expires_at)
    _change(tx, key, expires_at=end, successor_id=new.key.id)
    return new


def note_used(tx: Transaction, tenant_id: str, key_id: str) -> None:
    """Note that a key was used just now, by the database's clock."""
    mine = update(tables.api_keys).where(_keys.tenant_id == tenant_id, _keys.id == key_id)
    tx.execute(mine.values(last_used_at=now()))


def expiring(tx: Transaction, *, limit: int) -> list[tuple[str, str]]:
    """(tenant, id) of keys of all tenants that end soon, and of which nobody was told."""
    query = select(_keys.tenant_id, _keys.id).where(*_ends_untold()).order_by(_keys.expires_at)
    return [(row.tenant_id, row.id) for row in tx.execute(query.limit(limit))]


def note_expiry_told(tx: Transaction, tenant_id: str, key_id: str) -> ApiKey | None:
    """The key, if it is still to be told of its end; from now on it is not."""
    mine = update(tables.api_keys).where(
        _keys.tenant_id == tenant_id, _keys.id == key_id, *_ends_untold()
    )
    if not tx.execute(mine.values(expiry_told_at=now())).rowcount:
        return None
    return get(tx, tenant_id, key_id)


def _ends_untold() -> tuple[ColumnElement[bool], ...]:
    return (
        _keys.revoked_at.is_(None),
        _keys.expiry_told_at.is_(None),
        _keys.successor_id.is_(None),  # whoever rotated it knows
        _keys.expires_at > now(),
        _keys.expires_at <= seconds_from_now(WARNING_SECONDS),
    )


def any_made(tx: Transaction) -> bool:
    """Whether anybody has a key yet. Crosses tenants by nature."""
    return tx.execute(select(_keys.id).limit(1)).first() is not None


def _others_administer(tx: Transaction, key: ApiKey, at: datetime) -> bool:
    """Whether the tenant has another active key with the scope admin."""
    query = _select().where(
        _keys.tenant_id == key.tenant_id,
        _keys.id != key.id,
        _keys.revoked_at.is_(None),
        or_(_keys.expires_at.is_(None), _keys.expires_at > at),
    )
    return any("admin" in row.scopes for row in tx.execute(query))


def _change(tx: Transaction, key: ApiKey, **values: Any) -> None:
    mine = and_(_keys.tenant_id == key.tenant_id, _keys.id == key.id)
    tx.execute(update(tables.api_keys).where(mine).values(**values))


def _columns() -> Iterable[Any]:
    return [_keys[one.name] for one in fields(ApiKey)]


def _select() -> Select[Any]:
    return select(*_columns())


def _record(row: AnyRow) -> ApiKey:
    values = {one.name: getattr(row, one.name) for one in fields(ApiKey)}
    heads = values["heads"]
    return ApiKey(
        **values
        | {"scopes": tuple(values["scopes"]), "heads": None if heads is None else tuple(heads)}
    )

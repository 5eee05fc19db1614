"""The queue of deliveries: claim one, and write what came of it.

As with jobs, a claim is a conditional update with a lease and a fence, due by the database's clock;
whoever lost the lease writes nothing. An endpoint has one delivery in hand at a time. These
functions cross tenants by nature: a worker serves them all.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, exists, func, insert, literal, or_, select, update

from store.access import audit
from store.database import tables
from store.database.clock import now, read_clock, seconds_from_now
from store.database.connection import Transaction
from store.webhooks import endpoints, schedule
from store.webhooks.endpoints import Disabled
from store.webhooks.states import DeliveryKind, DeliveryStatus

LEASE_SECONDS: Final = 120.0
"""Longer than an attempt may take with the look-up of a name."""
GONE: Final = 410
"""The status by which a receiver says that it wants no more."""
WORKER_LOST: Final = "worker_lost"
_SLACK_SECONDS: Final = 60.0  # by which usual corrections set a clock back

_FAILING: Final = timedelta(days=schedule.FAILING_DAYS)

_endpoints = tables.webhook_endpoints.c
_deliveries = tables.webhook_deliveries.c
_messages = tables.webhook_messages.c


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """A delivery in hand, with all that sending it needs."""

    tenant_id: str
    id: str
    kind: DeliveryKind
    fence: int
    n_attempts: int
    """With this one."""
    step: int
    endpoint_id: str
    url: str
    sealed: bytes
    sealed_old: bytes | None
    """The secret before the last rotation, while it still signs."""
    message_id: str
    body: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an attempt: an HTTP status with the answer's beginning, or an error's code."""

    milliseconds: int | None
    status: int | None = None
    error: str | None = None
    excerpt: str | None = None
    retry_after: float | None = None
    """Seconds for which the receiver wants to be left alone."""

    @property
    def is_success(self) -> bool:
        """Only a whole answer with 2xx is; a redirect is not followed and is none."""
        return self.error is None and self.status is not None and 200 <= self.status < 300


def is_due(tx: Transaction) -> bool:
    """Whether there may be something to send, or a lease that is over."""
    due = select(_deliveries.id).where(_status(DeliveryStatus.PENDING), _is_past()).limit(1)
    over = select(_deliveries.id).where(_status(DeliveryStatus.SENDING), _is_over()).limit(1)
    return tx.execute(select(or_(due.exists(), over.exists()))).scalar_one() is not False


def claim(tx: Transaction) -> Claimed | None:
    """Take the delivery that has been due longest, of an endpoint that has none in hand."""
    _free_lost(tx)
    busy = tables.webhook_deliveries.alias("busy").c
    is_busy = exists().where(
        busy.tenant_id == _endpoints.tenant_id,
        busy.endpoint_id == _endpoints.id,
        _status(DeliveryStatus.SENDING, busy.status),
    )
    # First the endpoint's lock, then a look at its rows in a statement of its own: of two workers,
    # the second sees what the first has claimed.
    endpoint = tx.execute(
        select(_endpoints.tenant_id, _endpoints.id)
        .join(tables.webhook_deliveries, _of_endpoint())
        .where(
            _status(DeliveryStatus.PENDING), _is_past(), _endpoints.disabled_at.is_(None), ~is_busy
        )
        .order_by(_deliveries.due_at)
        .limit(1)
        .with_for_update(of=tables.webhook_endpoints, key_share=True, skip_locked=True)
    ).one_or_none()
    if endpoint is None:
        return None
    first = (
        select(_deliveries.id)
        .join(tables.webhook_endpoints, _of_endpoint())
        .where(
            _deliveries.tenant_id == endpoint.tenant_id,
            _deliveries.endpoint_id == endpoint.id,
            _status(DeliveryStatus.PENDING),
            _is_past(),
            ~is_busy,
        )
        .order_by(_deliveries.due_at, _deliveries.id)
        .limit(1)
    )
    row = tx.execute(
        update(tables.webhook_deliveries)
        .where(
            _deliveries.tenant_id == endpoint.tenant_id,
            _deliveries.id == first.scalar_subquery(),
            _status(DeliveryStatus.PENDING),
        )
        .values(
            status=DeliveryStatus.SENDING.value,
            fence=_deliveries.fence + 1,
            n_attempts=_deliveries.n_attempts + 1,
            step=_deliveries.step + 1,
            lease_expires_at=seconds_from_now(LEASE_SECONDS),
        )
        .returning(_deliveries.tenant_id, _deliveries.id)
    ).one_or_none()
    return None if row is None else _claimed(tx, row.tenant_id, row.id)


def record(tx: Transaction, claimed: Claimed, outcome: Outcome) -> bool:
    """Write an attempt and what follows from it; False, and nothing, if the lease was lost."""
    row = tx.execute(
        select(_endpoints.failing_since, _endpoints.disabled_at)
        .where(_endpoints.tenant_id == claimed.tenant_id, _endpoints.id == claimed.endpoint_id)
        .with_for_update(key_share=True)
    ).one_or_none()
    if row is None or not _leave(tx, claimed, outcome, may_retry=row.disabled_at is None):
        return False
    _note(tx, claimed.tenant_id, claimed.id, claimed.n_attempts, outcome)
    if claimed.kind is DeliveryKind.EVENT:
        _judge(tx, claimed, outcome, failing_since=row.failing_since)
    return True


def give_back(tx: Transaction, claimed: Claimed) -> None:
    """Leave it to another worker, at once and uncounted: this one is being stopped."""
    tx.execute(
        update(tables.webhook_deliveries)
        .where(*_is_mine(claimed))
        .values(
            status=DeliveryStatus.PENDING.value,
            lease_expires_at=None,
            n_attempts=_deliveries.n_attempts - 1,
            step=_deliveries.step - 1,
        )
    )


def _leave(tx: Transaction, claimed: Claimed, outcome: Outcome, *, may_retry: bool) -> bool:
    """may_retry: its endpoint is not disabled."""
    is_final = claimed.kind is DeliveryKind.PING or outcome.status == GONE or not may_retry
    pause = None if is_final else schedule.pause(claimed.step, retry_after=outcome.retry_after)
    values: dict[str, Any]
    if outcome.is_success:
        values = {"status": DeliveryStatus.SUCCEEDED.value, "finished_at": now()}
    elif pause is None:
        values = {"status": DeliveryStatus.FAILED.value, "finished_at": now()}
    else:
        values = {"status": DeliveryStatus.PENDING.value, "due_at": seconds_from_now(pause)}
    left = (
        update(tables.webhook_deliveries)
        .where(*_is_mine(claimed))
        .values(lease_expires_at=None, **values)
    )
    return tx.execute(left).rowcount > 0


def _note(tx: Transaction, tenant_id: str, delivery_id: str, n: int, outcome: Outcome) -> None:
    tx.execute(
        insert(tables.webhook_attempts).values(
            tenant_id=tenant_id,
            delivery_id=delivery_id,
            n=n,
            at=now(),
            milliseconds=outcome.milliseconds,
            status=outcome.status,
            error=outcome.error,
            excerpt=outcome.excerpt,
        )
    )


def _judge(
    tx: Transaction, claimed: Claimed, outcome: Outcome, *, failing_since: datetime | None
) -> None:
    """Keep the endpoint's record, and disable it if it has gone or failed for days."""
    tenant_id, endpoint_id = claimed.tenant_id, claimed.endpoint_id
    if outcome.is_success:
        if failing_since is not None:
            endpoints.change(tx, tenant_id, endpoint_id, values={"failing_since": None})
        return
    if failing_since is None:
        endpoints.change(tx, tenant_id, endpoint_id, values={"failing_since": now()})
    if outcome.status == GONE:
        _disable(tx, tenant_id, endpoint_id, Disabled.GONE)
    elif failing_since is not None and failing_since <= read_clock(tx) - _FAILING:
        _disable(tx, tenant_id, endpoint_id, Disabled.FAILING)


def _disable(tx: Transaction, tenant_id: str, endpoint_id: str, why: Disabled) -> None:
    endpoints.disable(tx, tenant_id, endpoint_id, why)
    actor = audit.worker(tenant_id, "courier")
    audit.note(tx, actor, "webhook.disabled", endpoint_id, why=why.value)


def _free_lost(tx: Transaction) -> None:
    """Put back what a worker took and left: it may have been sent, and is sent again."""
    rows = tx.execute(
        select(_deliveries.tenant_id, _deliveries.id, _endpoints.disabled_at)
        .join(tables.webhook_endpoints, _of_endpoint())
        .where(_status(DeliveryStatus.SENDING), _is_over())
        .limit(10)
        .with_for_update(of=tables.webhook_deliveries, skip_locked=True)
    ).all()
    for row in rows:
        lost = _claimed(tx, row.tenant_id, row.id)
        outcome = Outcome(milliseconds=None, error=WORKER_LOST)
        if _leave(tx, lost, outcome, may_retry=row.disabled_at is None):
            _note(tx, lost.tenant_id, lost.id, lost.n_attempts, outcome)


def _claimed(tx: Transaction, tenant_id: str, delivery_id: str) -> Claimed:
    message = and_(
        _messages.tenant_id == _deliveries.tenant_id, _messages.id == _deliveries.message_id
    )
    row = tx.execute(
        select(
            *(_deliveries[name] for name in ("tenant_id", "id", "kind", "fence", "n_attempts")),
            *(_deliveries.step, _deliveries.endpoint_id, _deliveries.message_id),
            *(_endpoints.url, _endpoints.sealed, _endpoints.sealed_old, _messages.body),
            func.coalesce(_endpoints.old_until > now(), literal(False)).label("is_old_valid"),
        )
        .select_from(
            tables.webhook_deliveries.join(tables.webhook_messages, message).join(
                tables.webhook_endpoints, _of_endpoint()
            )
        )
        .where(_deliveries.tenant_id == tenant_id, _deliveries.id == delivery_id)
    ).one()
    values = dict(row._mapping)
    if not values.pop("is_old_valid"):
        values["sealed_old"] = None
    return Claimed(**values | {"kind": DeliveryKind(row.kind)})


def _is_mine(claimed: Claimed) -> tuple[ColumnElement[bool], ...]:
    return (
        _deliveries.tenant_id == claimed.tenant_id,
        _deliveries.id == claimed.id,
        _status(DeliveryStatus.SENDING),
        _deliveries.fence == claimed.fence,
    )


def _of_endpoint() -> ColumnElement[bool]:
    return and_(
        _deliveries.tenant_id == _endpoints.tenant_id, _deliveries.endpoint_id == _endpoints.id
    )


def _status(
    status: DeliveryStatus, column: ColumnElement[Any] = _deliveries.status
) -> ColumnElement[bool]:
    """In the SQL itself, as the partial indices have it."""
    return column == literal(status.value, literal_execute=True)


def _is_past() -> ColumnElement[bool]:
    """Due; or due later than any pause reaches, for the clock was set back since."""
    longest = schedule.LONGEST_PAUSE_SECONDS + _SLACK_SECONDS
    return or_(_deliveries.due_at <= now(), _deliveries.due_at > seconds_from_now(longest))


def _is_over() -> ColumnElement[bool]:
    ends = _deliveries.lease_expires_at
    return or_(ends <= now(), ends > seconds_from_now(LEASE_SECONDS + _SLACK_SECONDS))

"""GET /usage: what a tenant uses, and what it may use."""

from anyio import to_thread
from fastapi import APIRouter

from service.http.dependencies import IdentityDep, StoreDep
from service.http.scopes import ADMIN
from service.limits.allowance import Allowance
from service.limits.classes import RequestClass
from service.limits.limiter import Limiter
from service.limits.meter import LimiterDep
from service.limits.schemas import Monthly, Rate, Stock, Usage, Use
from store.access import quotas, tenants, usage
from store.access.usage import Kind
from store.database.clock import read_clock
from store.store import Store

router = APIRouter(tags=["usage"], dependencies=[ADMIN])


@router.get("/usage")
async def get_usage(store: StoreDep, identity: IdentityDep, limiter: LimiterDep) -> Usage:
    """Show this month's counts, what is stored, and the limits.

    Other processes add their counts every NMTUNE_USAGE_FLUSH_SECONDS.
    """
    allowance = await limiter.of(identity)
    return await to_thread.run_sync(_read, store, limiter, allowance)


def _read(store: Store, limiter: Limiter, allowance: Allowance) -> Usage:
    tenant_id = allowance.tenant_id
    counted = dict(allowance.counted)
    with store.database.read() as tx:
        at = read_clock(tx)
        own = tenants.limits_of(tx, [tenant_id]).get(tenant_id)
        stored = usage.of_month(tx, [tenant_id], usage.month_of(at))[tenant_id]
        stock = quotas.in_stock(tx, tenant_id)
    limits = limiter.defaults.overridden(own)

    def monthly(kind: Kind) -> Use:
        limit = getattr(limits, f"{kind.value}_per_month", None)
        return Use(used=stored[kind] + counted.get(kind, 0), limit=limit)

    return Usage(
        tenant_id=tenant_id,
        month=usage.month_of(at),
        resets_at=usage.end_of_month(at),
        monthly=Monthly(**{kind.value: monthly(kind) for kind in Kind}),
        stock=Stock(
            **{name: Use(used=n, limit=getattr(limits, name)) for name, n in stock.items()}
        ),
        rates=[
            Rate(name=one.value, unit=one.unit, per_second=bucket.per_second, burst=bucket.burst)
            for one in RequestClass
            if (bucket := allowance.buckets.get(one)) is not None
        ],
    )

"""What one tenant's keys may still do: their buckets, and what is left of the month."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from service.limits import headers
from service.limits.buckets import Bucket
from service.limits.classes import RequestClass
from service.limits.refusals import month_over, rate_limited
from store.access.limits import Limits
from store.access.usage import Kind

if TYPE_CHECKING:
    from service.limits.shared_buckets import SharedBuckets

Header = tuple[bytes, bytes]
NO_COUNTS: Final[Mapping[Kind, int]] = dict.fromkeys(Kind, 0)


class Allowance:
    """What a tenant may do, and what it did since the counts were stored."""

    __slots__ = (
        "_limits",
        "_policies",
        "_shared",
        "buckets",
        "counted",
        "rows_waiting",
        "tenant_id",
        "used_before",
    )

    def __init__(
        self,
        tenant_id: str,
        limits: Limits,
        *,
        burst_seconds: float,
        shared: "SharedBuckets | None",
    ) -> None:
        self.tenant_id = tenant_id
        self._shared = shared
        self.buckets: dict[RequestClass, Bucket] = {}
        self._policies: dict[RequestClass, Header] = {}
        self.counted: dict[Kind, int] = {}
        """What was used here since the last flush."""
        self.used_before: Mapping[Kind, int] = NO_COUNTS
        """What all processes had stored of this month."""
        self.rows_waiting = 0
        """Rows of files that are still to be predicted, as of the last look."""
        self.follow(limits, burst_seconds)

    def follow(self, limits: Limits, burst_seconds: float) -> None:
        """Go by these limits from now on; keys keep what they have used up."""
        self._limits = limits
        at = time.monotonic()
        for one in RequestClass:
            rate, old = one.rate_in(limits), self.buckets.get(one)
            if rate is None:
                self.buckets.pop(one, None)
                continue
            if old is None or old.per_second != rate:
                bucket = Bucket(rate, burst_seconds)
                bucket.full_at = {} if old is None else old.full_at
                self._policies[one] = headers.policy_of(one, bucket)
                self.buckets[one] = bucket  # last: requests are served meanwhile
            self.buckets[one].forget_full(at)

    async def take(self, key: str, one: RequestClass, cost: int = 1, *, paid: int = 0) -> None:
        """Take `cost`, of which `paid` was taken before, out of a bucket (`Identity.bucket`).

        Raises Problem if it does not hold so much.
        """
        if self._limits.predicted_rows_per_month is not None and one is RequestClass.PREDICT:
            self._check_month(Kind.PREDICTED_ROWS, self._limits.predicted_rows_per_month, cost)
        bucket = self.buckets.get(one)
        if bucket is None:
            return
        wait = None
        if self._shared is not None:
            wait = await self._shared.take(bucket, one.value, key, cost, paid)
        if wait is None:
            wait = bucket.take(key, cost, time.monotonic(), paid)
        if wait > 0.0:
            raise self._rate_limited(one, bucket, key, wait)

    def check_tokens(self) -> None:
        """Raise Problem if the month's tokens are used up."""
        allowed = self._limits.embedded_tokens_per_month
        if allowed is not None:
            self._check_month(Kind.EMBEDDED_TOKENS, allowed, 1)

    def used(self, kind: Kind) -> int:
        """What was used of the month, as far as this process knows."""
        return self.used_before[kind] + self.counted.get(kind, 0)

    def headers(self, key: str, one: RequestClass) -> list[Header]:
        """What an answer tells of the class: its policy, and what is left of it."""
        bucket = self.buckets.get(one)
        if bucket is None:
            return []
        left = bucket.left(key, time.monotonic())
        return [self._policies[one], headers.state_of(one, left)]

    def _check_month(self, kind: Kind, allowed: int, more: int) -> None:
        used = self.used(kind)
        if kind is Kind.PREDICTED_ROWS:
            used += self.rows_waiting
        if used + more > allowed:
            raise month_over(kind, allowed=allowed, used=used, more=more)

    def _rate_limited(self, one: RequestClass, bucket: Bucket, key: str, wait: float) -> Exception:
        left = bucket.left(key, time.monotonic())
        told = [self._policies[one], headers.state_of(one, left)]
        return rate_limited(one, bucket, wait, told, left=left[0])

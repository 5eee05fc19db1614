"""Buckets that all processes of a server share, in Redis: one script, 50 ms at most.

The step is that of `Bucket.take`, on Redis's clock. Where Redis is away or slow, each process goes
on with its own buckets, and asks again after a second.
"""

import asyncio
import logging
import re
import time
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.limits.buckets import EXACT, Bucket

logger = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 0.05
RETRY_SECONDS: Final = 1.0
"""How long to leave alone a Redis that did not answer."""
PREFIX: Final = "nmtune:limits:"
_CERTIFICATES: Final = re.compile(r"(ssl_cert_reqs=)CERT_(\w+)")
"""As Celery's URLs have it; redis-py takes the last word in small letters."""

_TAKE: Final = """
local time = redis.call('TIME')
local at = tonumber(time[1]) + tonumber(time[2]) / 1000000
local needed, burst, exact = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local paid = tonumber(ARGV[4])
local stored = tonumber(redis.call('GET', KEYS[1]) or 0)
local full_at = math.max(stored - paid, at)
local wait = full_at - at
if needed < burst then wait = wait + needed - burst end
if wait <= exact then
  full_at = full_at + needed
  wait = 0
  redis.call('SET', KEYS[1], string.format('%.6f', full_at),
    'PX', math.ceil(1000 * (full_at - at)) + 1)
else
  full_at = math.max(stored, at)
  wait = wait + paid
end
return {string.format('%.6f', wait), string.format('%.6f', full_at - at)}
"""


class SharedBuckets:
    """The same buckets for all processes that name this Redis. For the event loop alone."""

    def __init__(self, url: str) -> None:
        """url: `redis://...`, `rediss://...` or `unix://...`; nothing is connected yet.

        Raises ValueError for options in it that only a broker's client knows.
        """
        self._redis: Any = Redis.from_url(
            _CERTIFICATES.sub(lambda found: found[1] + found[2].lower(), url),
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
        )
        try:
            pool: Any = self._redis.connection_pool
            pool.make_connection()
        except (RedisError, TypeError) as error:
            raise ValueError(str(error)) from error
        self._script = self._redis.register_script(_TAKE)
        self._away_until = 0.0

    async def take(
        self, bucket: Bucket, name: str, key: str, cost: float, paid: float = 0.0
    ) -> float | None:
        """As `Bucket.take`, of the class `name`; None if Redis cannot say it in time.

        The process's own bucket is set to what Redis says, for the headers and for what follows if
        Redis goes away.
        """
        began = time.monotonic()
        if began < self._away_until:
            return None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                wait, full_in = await self._script(
                    keys=[f"{PREFIX}{name}:{key}"],
                    args=[
                        cost * bucket.seconds_each,
                        bucket.burst_seconds,
                        EXACT,
                        paid * bucket.seconds_each,
                    ],
                )
        except (RedisError, OSError) as error:  # a TimeoutError is an OSError
            self._away_until = time.monotonic() + RETRY_SECONDS
            logger.warning("limits.local reason=%s", type(error).__name__)
            return None
        bucket.full_at[key] = time.monotonic() + float(full_in)
        return float(wait)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

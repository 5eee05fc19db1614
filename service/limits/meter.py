"""Take each request out of its key's bucket, and count what it used.

`service.front` takes one, a prediction's first row, before anything of the request is read; whoever
serves a prediction takes the other rows once they are counted.
"""

from typing import Annotated, Final

from fastapi import Depends, Request

from service.limits.allowance import Allowance, Header
from service.limits.classes import RequestClass
from service.limits.limiter import Limiter
from store.access.usage import Kind

METER: Final = "nmtune.meter"
"""Where the request's Meter is in its scope."""


class Meter:
    """What one request takes of its key's limits."""

    __slots__ = ("_bucket", "_class", "_limiter", "allowance")

    def __init__(
        self, limiter: Limiter, allowance: Allowance, bucket: str, request_class: RequestClass
    ) -> None:
        self._limiter = limiter
        self.allowance = allowance
        self._bucket = bucket
        self._class = request_class

    async def take_first(self) -> None:
        """Before anything is read, for refusing must be cheap. Raises Problem."""
        await self.allowance.take(self._bucket, self._class)

    async def take_rest(self, n_rows: int) -> None:
        """Before so many rows are predicted. Raises Problem if they are too many for now."""
        if n_rows > 1:
            await self.allowance.take(self._bucket, RequestClass.PREDICT, n_rows, paid=1)

    def headers(self) -> list[Header]:
        """What the answer tells of what is left."""
        return self.allowance.headers(self._bucket, self._class)

    def count(self, n_rows: int) -> None:
        """After they were predicted. From any thread."""
        self._limiter.count(self.allowance, Kind.PREDICTED_ROWS, n_rows)

    def count_tokens(self, n_tokens: int) -> None:
        """After texts were embedded."""
        self._limiter.count(self.allowance, Kind.EMBEDDED_TOKENS, n_tokens)


async def _limiter(request: Request) -> Limiter:
    limiter: Limiter = request.app.state.limiter
    return limiter


async def _meter(request: Request) -> Meter:
    meter: Meter = request.scope[METER]
    return meter


LimiterDep = Annotated[Limiter, Depends(_limiter)]
MeterDep = Annotated[Meter, Depends(_meter)]

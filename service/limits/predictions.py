"""Take the rows of a prediction that the router serves: GET /predict, and those under `/v2`.

`LimitsLayer` has taken the first one.
"""

from typing import Annotated

from fastapi import Depends, Request

from service.http.identity import identity_of
from service.limits.allowance import Allowance
from service.limits.classes import RequestClass
from service.limits.layer import ALLOWANCE
from service.limits.limiter import Limiter
from store.access.usage import Kind


class Meter:
    """The rows of one request."""

    def __init__(self, limiter: Limiter, allowance: Allowance, bucket: str) -> None:
        self._limiter = limiter
        self.allowance = allowance
        self._bucket = bucket

    async def take_rest(self, n_rows: int) -> None:
        """Before they are predicted. Raises Problem if they are too many for now."""
        if n_rows > 1:
            await self.allowance.take(self._bucket, RequestClass.PREDICT, n_rows, paid=1)

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
    limiter: Limiter = request.app.state.limiter
    bucket = identity_of(request.scope).bucket
    return Meter(limiter, request.scope[ALLOWANCE], bucket)


LimiterDep = Annotated[Limiter, Depends(_limiter)]
MeterDep = Annotated[Meter, Depends(_meter)]

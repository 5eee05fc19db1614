"""Usage and limits, as the server describes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from nmtune_client._http.values import build, known_in, member, time_of
from nmtune_client._show.reprs import Shown


@dataclass(frozen=True, kw_only=True, repr=False)
class Use(Shown):
    """How much is used of a limit."""

    used: int
    limit: int | None = None
    """None: as much as there is."""

    @property
    def left(self) -> int | None:
        """What is left of the limit, 0 or more; None without one."""
        return None if self.limit is None else max(0, self.limit - self.used)

    @classmethod
    def from_json(cls, data: object) -> Self:
        return build(cls, known_in(cls, data))


@dataclass(frozen=True, kw_only=True, repr=False)
class Rate(Shown):
    """How often a key may ask."""

    name: str
    """`predict`, `read`, `write` or `upload`."""
    unit: str
    """`rows` or `requests`."""
    per_second: float
    burst: int
    """How many at once after a pause."""

    @classmethod
    def from_json(cls, data: object) -> Self:
        return build(cls, known_in(cls, data))


@dataclass(frozen=True, kw_only=True, repr=False)
class Usage(Shown):
    """What a tenant uses, and what it may use."""

    tenant_id: str
    month: str
    """`2026-12`, in UTC."""
    resets_at: datetime | None = None
    """When the next month begins."""
    monthly: dict[str, Use] = field(default_factory=dict)
    """By name: `predicted_rows`, `embedded_tokens`, `training_seconds`."""
    stock: dict[str, Use] = field(default_factory=dict)
    """By name: `stored_bytes`, `unfinished_jobs`, `heads`."""
    rates: list[Rate] = field(default_factory=list)
    """Of each key; what is not here has no limit."""

    @classmethod
    def from_json(cls, data: object) -> Self:
        rates = member(data, "rates")
        return build(
            cls,
            known_in(
                cls,
                data,
                resets_at=time_of(data, "resets_at"),
                monthly=_uses(member(data, "monthly")),
                stock=_uses(member(data, "stock")),
                rates=[Rate.from_json(one) for one in rates or []],
            ),
        )


def _uses(data: object) -> dict[str, Use]:
    found = data if isinstance(data, Mapping) else {}
    return {name: Use.from_json(one) for name, one in found.items()}

"""How much a tenant may use: the operator's settings, and what a tenant's row says otherwise."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from store.errors import InvalidLimit

MOST: Final = 1 << 53
"""The largest limit: JSON readers keep whole numbers up to it exactly."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What may be used up; None: as much as there is.

    Rates hold for each key, everything else for the tenant.
    """

    predict_rows_per_second: float | None = None
    reads_per_second: float | None = None
    writes_per_second: float | None = None
    uploads_per_second: float | None = None
    stored_bytes: int | None = None
    unfinished_jobs: int | None = None
    """Jobs that are queued or running."""
    heads: int | None = None
    """Names of heads, those that unfinished trainings will publish included."""
    predicted_rows_per_month: int | None = None
    embedded_tokens_per_month: int | None = None

    def overridden(self, by: Mapping[str, Any] | None) -> "Limits":
        """These limits, with those of a tenant's row in place; a name unknown here is left out."""
        return replace(self, **{name: by[name] for name in NAMES if name in by}) if by else self


NAMES: Final = tuple(field.name for field in fields(Limits))
RATES: Final = tuple(name for name in NAMES if name.endswith("_per_second"))


def check(name: str, value: float | None) -> float | int | None:
    """The value as it is kept: a rate as it is, anything else whole. Raises InvalidLimit."""
    if name not in NAMES:
        raise InvalidLimit(f"There is no limit {name[:60]!r}: the limits are {', '.join(NAMES)}.")
    if value is None:
        return None
    if name in RATES:
        if not (math.isfinite(value) and 0 < value <= MOST):
            raise InvalidLimit(f"{name} must be a number above 0, got {value!r}.")
        return float(value)
    if not (math.isfinite(value) and value == int(value) and 0 <= value <= MOST):
        raise InvalidLimit(f"{name} must be a whole number, 0 or more, got {value!r}.")
    return int(value)

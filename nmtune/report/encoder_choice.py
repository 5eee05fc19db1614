"""Choose between encoders by the held-out log losses of the heads that were trained on each."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import DataError
from nmtune.numeric.statistics import mean_interval

LEVEL: Final = 0.95
"""Of all intervals to the best together: it was picked as the best on these very rows, so each of
the k - 1 intervals is widened to k - 1 comparisons (Bonferroni)."""


@dataclass(frozen=True, kw_only=True)
class ComparedEncoder:
    """One encoder's head on the held-out rows.

    losses: (m,) log loss of each row in nats, the same rows for all encoders. n_columns: the width
    of its vectors. cost: of embedding 1,000 texts; None if unknown.
    """

    name: str
    losses: NDArray[np.float64]
    n_columns: int
    cost: float | None = None

    @property
    def log_loss(self) -> float:
        return float(self.losses.mean())


@dataclass(frozen=True, kw_only=True)
class RankedEncoder:
    """An encoder's place.

    difference: its held-out log loss minus that of the best, 0 or more. interval: of the
    difference, paired by rows; None for the best itself. ties: whether the interval holds 0, so
    that the difference may be chance; the best ties with itself.
    """

    name: str
    log_loss: float
    difference: float
    interval: tuple[float, float] | None
    ties: bool

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self) | {"interval": None if self.interval is None else list(self.interval)}


@dataclass(frozen=True, kw_only=True)
class EncoderChoice:
    """The chosen encoder, why, and all encoders in the order of their held-out log loss."""

    chosen: str
    reason: str
    n_rows: int
    ranking: tuple[RankedEncoder, ...]


def choose_encoder(encoders: Sequence[ComparedEncoder]) -> EncoderChoice:
    """The encoder with the least held-out log loss; of those that tie with it, the cheapest.

    Two encoders tie if the paired 95 % interval of their difference holds 0. Of the tied ones the
    cheapest is chosen, where the cost of each is known, and of equally cheap ones the narrowest:
    its heads are smaller and serve faster. Raises DataError unless there are at least two encoders
    with the same two or more rows.
    """
    if len(encoders) < 2 or len({len(one.losses) for one in encoders}) != 1:
        raise DataError("a comparison needs at least two encoders, judged on the same rows")
    if len(encoders[0].losses) < 2:
        raise DataError("a comparison of encoders needs at least two held-out rows")
    in_order = sorted(encoders, key=lambda one: (one.log_loss, one.n_columns))
    best = in_order[0]
    ranking = tuple(_against(one, best, n_others=len(encoders) - 1) for one in in_order)
    tied = [one for one, place in zip(in_order, ranking, strict=True) if place.ties]
    knows_costs = all(one.cost is not None for one in tied)
    chosen = min(tied, key=lambda one: (one.cost if knows_costs else 0, one.n_columns))
    return EncoderChoice(
        chosen=chosen.name,
        reason=_reason(chosen, ranking, tied, knows_costs=knows_costs),
        n_rows=len(best.losses),
        ranking=ranking,
    )


def _against(one: ComparedEncoder, best: ComparedEncoder, *, n_others: int) -> RankedEncoder:
    if one is best:
        return RankedEncoder(
            name=one.name, log_loss=one.log_loss, difference=0.0, interval=None, ties=True
        )
    differences = one.losses - best.losses
    low, high = mean_interval(differences, level=1 - (1 - LEVEL) / n_others)
    return RankedEncoder(
        name=one.name,
        log_loss=one.log_loss,
        difference=float(differences.mean()),
        interval=(low, high),
        ties=low <= 0,
    )


def _reason(
    chosen: ComparedEncoder,
    ranking: Sequence[RankedEncoder],
    tied: Sequence[ComparedEncoder],
    *,
    knows_costs: bool,
) -> str:
    best, second = ranking[0], ranking[1]
    led = f"{best.name} has the lowest held-out log loss ({best.log_loss:.3f})"
    if len(tied) == 1:
        assert second.interval is not None  # noqa: S101 - only the best has none
        low, high = second.interval
        return (
            f"{led}, clearly lower than the next, {second.name} ({second.log_loss:.3f}; difference "
            f"{second.difference:.3f}, interval {low:.3f} to {high:.3f}), so it was chosen."
        )
    others = _listed([one.name for one in ranking[1:] if one.ties])
    ties = f"{led}; {others} may be as good: the interval of the difference holds 0"
    if not knows_costs:
        why = "The cost of some is not known, so the narrowest was chosen"
    elif len({one.cost for one in tied}) == 1:
        why = "They cost the same, so the narrowest was chosen"
    else:
        why = "The cheapest of them was chosen"
        if sum(one.cost == chosen.cost for one in tied) > 1:
            why = "The narrowest of the cheapest was chosen"
    return f"{ties}. {why}: {chosen.name}, with {chosen.n_columns:,} columns."


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last

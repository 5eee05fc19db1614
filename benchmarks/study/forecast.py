"""Do SVE and LSVR forecast accuracy out of domain, once accuracy in domain is known?

Accuracy out of domain is predicted by least squares for models of a noise (kind and level) that the
fit has not seen. A measure forecasts if it makes the squared error smaller where accuracy in domain
is a predictor already.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.study.answer import CENTRINGS, N_DRAWS, RAW, TOO_FEW, Answer, counted, plain
from benchmarks.study.summary import FEWEST_SEEDS, Interval, Numbers, Results

FEWEST_CONDITIONS: Final = 3
FEWEST_MODELS: Final = 10
_FORECASTS = "forecasts"
_ONLY_ID = "forecasts only what ID accuracy already says"
_NOT = "does not forecast"


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a measure adds, all None with too few models.

    given_id: how much smaller the mean squared error gets beside accuracy in domain, as a share of
    the error without the measure; alone: beside nothing, likewise. partial: the rank correlation of
    the measure with accuracy out of domain, given that in domain.
    """

    given_id: Interval | None
    alone: Interval | None
    partial: Interval | None

    @property
    def verdict(self) -> str:
        """By the signs of the intervals."""
        if self.given_id is None or self.alone is None:
            return TOO_FEW
        if self.given_id.sign == 1:
            return _FORECASTS
        return _ONLY_ID if self.alone.sign == 1 else _NOT


def forecast(results: Results) -> Answer:
    """By centring, for all models together and for each kind of noise."""
    rows, sentences = [], []
    sets = {"all": list(range(len(results.conditions)))}
    sets |= {kind: results.of_kind(kind) for kind in results.kinds}
    for measure, where in (("sve", "id"), ("lsvr", "ood")):
        for name, at in sets.items():
            verdicts, signs = [], []
            for centring in CENTRINGS:
                found = judge(
                    results.spectrum(measure, where, centring, method=RAW)[at],
                    results.accuracy(RAW, "id")[at],
                    results.accuracy(RAW, "ood")[at],
                )
                verdicts.append(found.verdict)
                signs.append(found.partial.sign if found.partial else None)
                told = [
                    "" if one is None else plain(one)
                    for one in (found.given_id, found.alone, found.partial)
                ]
                rows.append([f"{measure.upper()}, {centring}", name, *told, found.verdict])
            sentences.append(f"{measure.upper()}, {name}: {_over_centrings(verdicts)}.")
            if name == "all":
                goes = counted(signs, ("higher", "lower"))
                sentences.append(f"With more of it, accuracy at equal ID accuracy: {goes}.")
    return Answer(
        question="Do SVE and LSVR forecast accuracy out of domain once ID accuracy is known?",
        sentences=sentences,
        head=(
            "measure, centring",
            "models",
            "error removed beside ID",
            "error removed alone",
            "partial rank correlation",
            "verdict",
        ),
        rows=rows,
    )


def judge(measure: Numbers, id_accuracy: Numbers, ood_accuracy: Numbers) -> Forecast:
    """All (n_conditions, n_seeds)."""
    n_conditions, n_seeds = measure.shape
    enough = n_conditions >= FEWEST_CONDITIONS and n_seeds >= FEWEST_SEEDS
    if not enough or measure.size < FEWEST_MODELS:
        return Forecast(given_id=None, alone=None, partial=None)
    with_id = _errors([id_accuracy], ood_accuracy)
    with_both = _errors([id_accuracy, measure], ood_accuracy)
    with_nothing = _errors([], ood_accuracy)
    with_measure = _errors([measure], ood_accuracy)
    return Forecast(
        given_id=_removed(with_id, with_both),
        alone=_removed(with_nothing, with_measure),
        partial=_partial(measure, id_accuracy, ood_accuracy),
    )


def _errors(predictors: Sequence[Numbers], y: Numbers) -> Numbers:
    """Squared errors (n_conditions, n_seeds), each condition predicted from all the others."""
    design = np.stack([np.ones_like(y), *predictors], axis=-1)
    errors = np.empty_like(y)
    for left_out in range(len(y)):
        kept = np.arange(len(y)) != left_out
        columns = design.shape[-1]
        fitted, *_ = np.linalg.lstsq(design[kept].reshape(-1, columns), y[kept].ravel(), rcond=None)
        errors[left_out] = (y[left_out] - design[left_out] @ fitted) ** 2
    return errors


def _removed(before: Numbers, after: Numbers) -> Interval:
    """The share of the mean squared error that is gone, by bootstrap over conditions and seeds.

    Models of a seed share their start and those of a condition their noise, so both are drawn
    (Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1), which errs wide.
    """
    random = np.random.default_rng(0)
    # How often each condition, and each seed, is drawn.
    conditions, seeds = (
        random.multinomial(n, np.full(n, 1 / n), N_DRAWS) / n for n in before.shape
    )
    drawn = (conditions @ (before - after) * seeds).sum(1)
    low, high = np.quantile(drawn, [0.025, 0.975]) / before.mean()
    return Interval(
        mean=float((before - after).mean() / before.mean()), low=float(low), high=float(high)
    )


def _partial(measure: Numbers, given: Numbers, y: Numbers) -> Interval:
    """By bootstrap over seeds, each with all its models."""
    random = np.random.default_rng(0)
    n_seeds = y.shape[1]
    drawn = [
        _partial_rank_correlation(measure[:, at], given[:, at], y[:, at])
        for at in random.integers(n_seeds, size=(N_DRAWS // 10, n_seeds))
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    mean = _partial_rank_correlation(measure, given, y)
    return Interval(mean=mean, low=float(low), high=float(high))


def _partial_rank_correlation(x: Numbers, given: Numbers, y: Numbers) -> float:
    """Spearman's correlation of x and y where the ranks of `given` are held constant; 0 if none."""
    ranks = np.stack([_ranks(one.ravel()) for one in (x, given, y)])
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = np.asarray(np.corrcoef(ranks))
        xg, xy, gy = matrix[0, 1], matrix[0, 2], matrix[1, 2]
        found = (xy - xg * gy) / np.sqrt((1 - xg**2) * (1 - gy**2))
    return float(found) if np.isfinite(found) else 0.0


def _ranks(values: Numbers) -> Numbers:
    """Equal values, which a bootstrap makes, share the mean of their ranks."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[index], np.float64)


def _over_centrings(verdicts: Sequence[str]) -> str:
    if len(set(verdicts)) == 1:
        return verdicts[0]
    pairs = zip(CENTRINGS, verdicts, strict=True)
    return "; ".join(f"{verdict} (centring {centring})" for centring, verdict in pairs)

"""Estimate a job's progress: how much is done, and how long the rest may take."""

from collections.abc import Mapping
from typing import Any

from nmtune import EpochReport, TuneConfig

# The unit of work is one multiplication of a training step's forward pass per training row,
# including its backward pass. So a forward pass by itself is a third, and in float64 two thirds.
FORWARD = 1 / 3
SPECTRUM = 2 / 3  # of one row's outer product, in float64
REGULARISERS = 1.3
FOLDED_REGULARISERS = 3.0  # they look at each member's own rows after tuning
# One penalty of a linear probe, on all folds: passes over the rows, and the cost of a row besides
# its multiplications.
PROBE_PASSES = 40
PROBE_ROW = 32
PROBE_PENALTIES = 11
# An ensemble stops early, and checks its held-out rows after each epoch of at most 100 steps.
ENSEMBLE_EPOCHS = 30
ENSEMBLE_STEPS = 100
WATCHING = 1.3


NEW_DOMAINS = 0.1  # of the training


class Workload:
    """All the work of a job, its epochs and the evaluation after them, and the measured pace.

    Shares of work follow from shapes, times from the clock: from a candidate's own epochs if there
    are any, else from the candidates trained by mini-batches before it. A linear probe says nothing
    about the others, so the time left is unknown until one of those has begun.
    """

    def __init__(
        self,
        configs: Mapping[str, TuneConfig],
        *,
        n_columns: int,
        n_classes: int,
        n_rows: int,
        rows_ratio: float,
        share: float = 1.0,
        tries_new_domains: bool = False,
    ) -> None:
        """rows_ratio: how many rows are evaluated per training row. tries_new_domains: whether the
        head is adapted to labels of OOD domains, for the report.

        share: how much of the job these candidates are; of the others the time left is not known.
        """
        self._share = share
        self._by_batches = {name for name, one in configs.items() if not one.is_convex}
        self._n_epochs = {name: _epochs(config, n_rows) for name, config in configs.items()}
        self._cost: dict[str, float] = {}
        spectrum = SPECTRUM * n_columns**2
        self._aftermath = rows_ratio * spectrum
        for name, config in configs.items():
            step = _multiplications(config, n_columns=n_columns, n_classes=n_classes)
            # Each head is applied twice to all rows: for its metrics and for its spectra.
            self._aftermath += rows_ratio * (2 * FORWARD * step + spectrum)
            if config.is_folded:
                step *= WATCHING * min(1.0, ENSEMBLE_STEPS * config.batch_size / n_rows)
                step *= FOLDED_REGULARISERS if _is_regularised(config) else 1.0
            elif name not in self._by_batches:
                step = float(PROBE_PASSES * n_columns * (n_classes + PROBE_ROW))
            elif _is_regularised(config):
                step *= REGULARISERS
            self._cost[name] = step
        if tries_new_domains:
            self._aftermath += NEW_DOMAINS * self._work(self._n_epochs)
        self._done = dict.fromkeys(configs, 0)
        self._measured: dict[str, tuple[int, float]] = {}  # epochs, seconds
        self._fraction = 0.0

    def skip(self, candidate: str) -> None:
        """Count a candidate that an earlier attempt trained as done."""
        self._done[candidate] = self._n_epochs[candidate]

    def leave_out(self, candidate: str) -> None:
        """Drop a candidate that will not be trained."""
        self._n_epochs[candidate] = 0

    def progress(self, candidate: str, report: EpochReport) -> dict[str, Any]:
        """The progress to show after one epoch; the fraction never falls."""
        self._n_epochs[candidate] = report.n_epochs
        self._done[candidate] = report.epoch
        n_epochs, seconds = self._measured.get(candidate, (0, 0.0))
        self._measured[candidate] = (n_epochs + 1, seconds + report.seconds)
        done = self._work(self._done)
        self._fraction = max(self._fraction, done / (self._work(self._n_epochs) + self._aftermath))
        return {
            "candidate": candidate,
            "epoch": report.epoch,
            "n_epochs": report.n_epochs,
            "losses": report.losses,
            "validation": report.validation,
            "fraction": round(self._share * self._fraction, 4),
            "eta_seconds": self._seconds_left() if self._share == 1 else None,
        }

    def _work(self, n_epochs: Mapping[str, int]) -> float:
        return sum(self._cost[name] * n for name, n in n_epochs.items())

    def _seconds_left(self) -> float | None:
        """The time for the rest at the measured pace; None while no pace is known."""
        telling = self._measured.keys() & self._by_batches if self._by_batches else self._measured
        if not telling:
            return None
        work = sum(self._cost[name] * self._measured[name][0] for name in telling)
        pace = sum(self._measured[name][1] for name in telling) / work
        left = pace * self._aftermath
        for name, n_epochs in self._n_epochs.items():
            n_measured, seconds = self._measured.get(name, (0, 0.0))
            each = seconds / n_measured if n_measured else pace * self._cost[name]
            left += each * (n_epochs - self._done[name])
        return round(left, 1)


def _is_regularised(config: TuneConfig) -> bool:
    return bool(config.w_consistency or config.w_covariance or config.w_dominant)


def _epochs(config: TuneConfig, n_rows: int) -> int:
    """How many epochs to expect before the training itself says."""
    if config.is_convex:
        return (1 + config.trim) * PROBE_PENALTIES + 1  # a trimmed one tries each of them twice
    if config.is_folded:
        return min(config.epochs, ENSEMBLE_EPOCHS)
    return config.n_epochs(max(1, n_rows // config.batch_size))


def _multiplications(config: TuneConfig, *, n_columns: int, n_classes: int) -> float:
    """The multiplications of one row's pass through transform and classifier."""
    if config.transform == "hidden":
        return float(config.n_members * config.hidden_width * (n_columns + n_classes))
    if config.transform == "bottlenecks":
        by_member = config.hidden_width * 2 * n_columns + n_columns * n_classes
        return float(config.n_members * by_member)
    if config.transform == "whiten":
        return float(n_columns * (n_columns + n_classes))
    transform = 0 if config.transform == "none" else 2 * config.hidden_multiplier * n_columns**2
    return float(transform + n_columns * n_classes)

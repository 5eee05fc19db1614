"""The home of a job's progress: how much of the whole is done and how long the rest may take."""

from collections.abc import Mapping
from typing import Any

from nmtune import EpochReport, TuneConfig

# The unit of work is one multiplication of a training step's forward pass, per training row; its
# backward pass comes with it. So a forward pass alone is a third, and one in float64 two thirds.
FORWARD = 1 / 3
SPECTRUM = 2 / 3  # of one row's outer product, in float64
REGULARISERS = 1.3
# One solution of the linear probe: passes over the rows, and what a row costs beside its
# multiplications. How many solutions there are it tells with the first, as it is trained first.
PROBE_PASSES = 40
PROBE_ROW = 32
PROBE_SOLUTIONS = 8


class Workload:
    """All the work of a job, epoch by epoch and the evaluation after it, and the measured pace.

    The shares follow from the shapes, the time from the clock: a candidate's own epochs where
    there are any, else the pace of those trained by mini-batches before it. The linear probe
    tells nothing about the others, so the time left is unknown until one of them has begun.
    """

    def __init__(
        self,
        configs: Mapping[str, TuneConfig],
        *,
        n_columns: int,
        n_classes: int,
        rows_ratio: float,
    ) -> None:
        """`rows_ratio` is how many rows are evaluated for each that is trained on."""
        self._by_batches = {name for name, one in configs.items() if one.optimiser == "adamw"}
        self._n_epochs = {
            name: config.epochs if name in self._by_batches else PROBE_SOLUTIONS
            for name, config in configs.items()
        }
        self._cost: dict[str, float] = {}
        spectrum = SPECTRUM * n_columns**2
        self._aftermath = rows_ratio * spectrum
        for name, config in configs.items():
            step = _multiplications(config, n_columns=n_columns, n_classes=n_classes)
            # Each head is applied twice to all rows: for its metrics and for its spectra.
            self._aftermath += rows_ratio * (2 * FORWARD * step + spectrum)
            if name not in self._by_batches:
                step = float(PROBE_PASSES * n_columns * (n_classes + PROBE_ROW))
            elif config.w_consistency or config.w_covariance or config.w_dominant:
                step *= REGULARISERS
            self._cost[name] = step
        self._done = dict.fromkeys(configs, 0)
        self._measured: dict[str, tuple[int, float]] = {}  # epochs, seconds
        self._fraction = 0.0

    def skip(self, candidate: str) -> None:
        """An earlier attempt has trained this candidate."""
        self._done[candidate] = self._n_epochs[candidate]

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
            "fraction": round(self._fraction, 4),
            "eta_seconds": self._seconds_left(),
        }

    def _work(self, n_epochs: Mapping[str, int]) -> float:
        return sum(self._cost[name] * n for name, n in n_epochs.items())

    def _seconds_left(self) -> float | None:
        """The rest at the measured pace; None while there is no pace to measure it by."""
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


def _multiplications(config: TuneConfig, *, n_columns: int, n_classes: int) -> float:
    """Those of one row's way through transform and classifier."""
    transform = 0 if config.transform == "none" else 2 * config.hidden_multiplier * n_columns**2
    return float(transform + n_columns * n_classes)

"""Results as arrays: every figure by condition and seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.sizes import CLEAN, KINDS
from benchmarks.study.task import TEST
from nmtune.numeric.statistics import mean_interval

Numbers = NDArray[np.float64]
Condition = tuple[str, float]

FEWEST_SEEDS = 3
"""Fewer give no interval worth the name."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over pre-trained models, and its 95 % interval; None with fewer than three seeds."""

    mean: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: Numbers) -> "Interval":
        """Student's, over seeds (n,)."""
        if len(values) < FEWEST_SEEDS:
            return cls(mean=float(values.mean()), low=None, high=None)
        low, high = mean_interval(values)
        return cls(mean=float(values.mean()), low=low, high=high)

    @property
    def sign(self) -> int | None:
        """1 or -1 if the whole interval is on that side of 0, else 0; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return int(self.low > 0) - int(self.high < 0)


class Results:
    """The seeds that have every condition, so that differences are always between pairs."""

    def __init__(self, lines: Sequence[dict[str, Any]]) -> None:
        self._lines = {(line["kind"], line["level"], line["seed"]): line for line in lines}
        kinds = [CLEAN, *KINDS]
        self.conditions: list[Condition] = sorted(
            {(kind, level) for kind, level, _ in self._lines},
            key=lambda one: (kinds.index(one[0]), one[1]),
        )
        self.seeds = [
            seed
            for seed in sorted({seed for *_, seed in self._lines})
            if all((*condition, seed) in self._lines for condition in self.conditions)
        ]

    @property
    def is_empty(self) -> bool:
        """Whether no seed is complete."""
        return not self.seeds

    @property
    def kinds(self) -> list[str]:
        """The kinds of noise."""
        return list(dict.fromkeys(kind for kind, _ in self.conditions if kind != CLEAN))

    @property
    def methods(self) -> list[str]:
        """The methods, in their order."""
        return list(next(iter(self._lines.values()))["methods"])

    @property
    def domains(self) -> list[str]:
        """The splits out of domain."""
        accuracy = next(iter(self._lines.values()))["methods"][self.methods[0]]["accuracy"]
        return [split for split in accuracy if split != TEST]

    def of_kind(self, kind: str) -> list[int]:
        """The places of the clean condition and of this kind's, by level."""
        return [at for at, (one, _) in enumerate(self.conditions) if one in (CLEAN, kind)]

    def levels(self, at: Sequence[int]) -> list[float]:
        """The levels of some conditions."""
        return [self.conditions[index][1] for index in at]

    def of_cells(self, name: str) -> Numbers:
        """(n_conditions, n_seeds) of a field of the lines."""
        return self._table(lambda line: line[name])

    def accuracy(self, method: str, where: str) -> Numbers:
        """(n_conditions, n_seeds) in 0..1; where is `id`, `ood` (the domains' mean) or a domain."""
        splits = self._splits(where)

        def read(line: dict[str, Any]) -> float:
            found = line["methods"][method]["accuracy"]
            return float(np.mean([found[split] for split in splits]))

        return self._table(read)

    def spectrum(self, measure: str, where: str, centring: str, *, method: str) -> Numbers:
        """(n_conditions, n_seeds) of `sve` or `lsvr`; the linear probe's are the encoder's own."""
        splits, index = self._splits(where), ("sve", "lsvr").index(measure)

        def read(line: dict[str, Any]) -> float:
            found = line["methods"][method]["spectra"]
            return float(np.mean([found[split][centring][index] for split in splits]))

        return self._table(read)

    def _splits(self, where: str) -> list[str]:
        return {"id": [TEST], "ood": self.domains}.get(where, [where])

    def _table(self, read: Any) -> Numbers:
        return np.array(
            [[read(self._lines[(*one, seed)]) for seed in self.seeds] for one in self.conditions],
            dtype=np.float64,
        )

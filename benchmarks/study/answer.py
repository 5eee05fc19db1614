"""What an answer is, and how its numbers are written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.study.summary import FEWEST_SEEDS, Interval, Numbers

CENTRINGS: Final = ("none", "columns", "reference")
RAW: Final = "linear_probe"
"""The method whose spectra are those of the encoder's own features."""
N_DRAWS: Final = 5000
TOO_FEW: Final = "too few models to tell"

TITLES: Final = {
    "linear_probe": "linear probe",
    "whitened_probe": "whitened probe",
    "mlp": "MLP",
    "nmtune_paper": "NMTune (paper)",
    "nmtune_reference": "NMTune (reference)",
    "lora": "LoRA",
    "lora_nmtune": "LoRA + NMTune",
    "full": "full fine-tuning",
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A question, its answer in a sentence or a few, and the table that it rests on."""

    question: str
    sentences: Sequence[str]
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def points(one: Interval) -> str:
    """A share in points, with its interval."""
    if one.low is None or one.high is None:
        return f"{100 * one.mean:+.1f}"
    return f"{100 * one.mean:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"


def plain(one: Interval) -> str:
    """A number with its interval."""
    if one.low is None or one.high is None:
        return f"{one.mean:+.2f}"
    return f"{one.mean:+.2f} [{one.low:+.2f}, {one.high:+.2f}]"


def bootstrapped(by_seed: Numbers) -> Interval:
    """The mean of values (n,) of seeds, and its percentile interval."""
    if len(by_seed) < FEWEST_SEEDS:
        return Interval(mean=float(by_seed.mean()), low=None, high=None)
    random = np.random.default_rng(0)
    drawn = by_seed[random.integers(len(by_seed), size=(N_DRAWS, len(by_seed)))].mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(mean=float(by_seed.mean()), low=float(low), high=float(high))


def said(sign: int | None, verbs: tuple[str, str]) -> str:
    """The verb of an interval's sign: above 0, below 0, or neither."""
    if sign is None:
        return TOO_FEW
    return {1: verbs[0], -1: verbs[1], 0: "no clear change"}[sign]


def counted(signs: Sequence[int | None], verbs: tuple[str, str]) -> str:
    """For example "helps in 3 of 8, no clear change in 5 of 8"."""
    told = [said(sign, verbs) for sign in signs]
    counts = {one: told.count(one) for one in dict.fromkeys(told)}
    if len(counts) == 1:
        (only,) = counts
        return only if only == TOO_FEW else f"{only} in all {len(told)}"
    return ", ".join(f"{one} in {n} of {len(told)}" for one, n in counts.items())

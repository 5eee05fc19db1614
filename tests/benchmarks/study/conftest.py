"""One thread, and results whose answers are known because they were made."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.study.cells import METHODS
from benchmarks.study.sizes import KINDS

Figures = Callable[[str, float, int], tuple[float, float, float]]
DOMAINS = ("ood_a", "ood_b")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def lines_of() -> Callable[..., list[dict[str, Any]]]:
    """Lines of made results: `figures(kind, level, seed)` gives ID, OOD and LSVR of a model."""

    def make(
        figures: Figures, *, n_seeds: int = 8, levels: tuple[float, ...] = (0.1, 0.3)
    ) -> list[dict[str, Any]]:
        conditions = [("clean", 0.0), *((kind, level) for kind in KINDS for level in levels)]
        return [
            _line(kind, level, seed, figures(kind, level, seed))
            for kind, level in conditions
            for seed in range(n_seeds)
        ]

    return make


def _line(
    kind: str, level: float, seed: int, figures: tuple[float, float, float]
) -> dict[str, Any]:
    in_domain, out, lsvr = figures
    split_of = {"test": in_domain, **dict.fromkeys(DOMAINS, out)}
    spectra = {one: [2 + lsvr, lsvr] for one in ("none", "columns", "reference")}
    found = {"accuracy": split_of, "spectra": dict.fromkeys(split_of, spectra)}
    return {
        "study": "made",
        "seed": seed,
        "kind": kind,
        "level": level,
        "realised": level,
        "pretraining_accuracy": 0.9 - level,
        "methods": dict.fromkeys(METHODS, found),
        "seconds": 1.0,
    }


@pytest.fixture
def random() -> np.random.Generator:
    """Random numbers, always the same."""
    return np.random.default_rng(0)

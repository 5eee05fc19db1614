"""The histograms of the OOD score that a report holds."""

import numpy as np
import pytest

from nmtune.trust.ood_score import OodScore
from workers.child.trust import N_BINS, _power

ROWS = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
LABELS = np.repeat([0, 1], 200)


@pytest.mark.parametrize("shift", [0.0, 3.0, 1000.0])
def test_every_row_is_in_a_bin_and_one_bin_ends_at_the_threshold(shift: float) -> None:
    ood = OodScore.fit(ROWS, LABELS, seed=0)
    assert ood is not None
    told, _ = _power(ood, {"test": (ROWS[:90], LABELS[:90]), "ood/far": (ROWS + shift, LABELS)})
    edges = told["edges"]
    assert edges[N_BINS] == pytest.approx(told["threshold"])
    assert len(edges) <= 3 * N_BINS + 1
    assert edges == sorted(edges)
    for one in told["splits"].values():
        assert sum(one["counts"]) == one["n_rows"]
        assert len(one["counts"]) == len(edges) - 1
        above = sum(one["counts"][N_BINS:]) / one["n_rows"]
        assert above == pytest.approx(one["share_above_threshold"], abs=0.02)

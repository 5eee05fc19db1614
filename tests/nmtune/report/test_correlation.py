"""Spectra against accuracy over candidates: how they rank, and what so few of them are worth."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from nmtune import Evaluation, Spectrum, evaluate, spectrum
from nmtune.report.correlation import correlate

N_ROWS = 100
Y = np.zeros(N_ROWS, int)


def evaluation(n_right: int) -> Evaluation:
    """Of two classes, with so many of the 100 rows right."""
    return evaluate(np.eye(2)[(np.arange(N_ROWS) >= n_right).astype(int)], Y, ["a", "b"])


def flatness(value: float) -> Spectrum:
    """Two singular values, 1 and `value`: the nearer to 1, the more SVE and LSVR."""
    return spectrum(np.diag([1.0, value]))


def job(
    n_right: list[int], flat: list[float], split: str = "test"
) -> dict[str, dict[str, tuple[Evaluation, Spectrum]]]:
    pairs = zip(n_right, flat, strict=True)
    return {
        f"candidate {index}": {split: (evaluation(right), flatness(value))}
        for index, (right, value) in enumerate(pairs)
    }


def test_candidates_are_ranked_by_both() -> None:
    n_right, flat = [70, 80, 75, 90, 85], [0.1, 0.3, 0.2, 0.4, 0.9]
    found = correlate(job(n_right, flat))["splits"]["test"]
    expected = stats.spearmanr(n_right, flat).statistic
    assert found["n_candidates"] == 5
    assert found["entropy"]["rho"] == pytest.approx(expected)
    assert found["largest_ratio"]["rho"] == pytest.approx(expected)


def test_each_held_out_split_has_its_own_and_train_has_none() -> None:
    rising, falling = [60, 70, 80, 90], [0.9, 0.6, 0.4, 0.1]
    candidates: dict[str, Any] = {}
    for split in ("train", "validation", "test", "ood/art"):
        order = falling if split == "ood/art" else falling[::-1]
        for name, of_split in job(rising, order, split).items():
            candidates.setdefault(name, {}).update(of_split)
    splits = correlate(candidates)["splits"]
    assert set(splits) == {"test", "ood/art"}
    assert splits["test"]["entropy"]["rho"] == pytest.approx(1)
    assert splits["ood/art"]["entropy"]["rho"] == pytest.approx(-1)
    assert splits["ood/art"]["entropy"]["p_value"] == pytest.approx(2 / 24)


def test_three_candidates_show_nothing() -> None:
    told = correlate(job([60, 70, 80], [0.1, 0.2, 0.3]))
    assert told["splits"]["test"] == {"n_candidates": 3, "entropy": None, "largest_ratio": None}
    assert told["sentence"].startswith("3 candidates with a spectrum cannot show a correlation")


def test_candidates_without_difference_show_nothing() -> None:
    told = correlate(job([80] * 5, [0.1, 0.2, 0.3, 0.4, 0.5]))
    assert told["splits"]["test"]["entropy"] is None
    assert told["sentence"].startswith("No correlation: all candidates have the same spectra")


@pytest.mark.parametrize(
    ("n_right", "words"),
    [
        ([60, 70, 80, 90, 95], "Over 5 candidates, 2 of 2 correlations would be rare"),
        ([70, 60, 95, 80, 90], "Over 5 candidates, 0 of 2 correlations would be rare"),
    ],
)
def test_sentence_counts_what_chance_would_rarely_do(n_right: list[int], words: str) -> None:
    sentence = correlate(job(n_right, [0.1, 0.2, 0.3, 0.4, 0.5]))["sentence"]
    assert sentence.startswith(words)
    assert "do not make SVE or LSVR a predictor of accuracy" in sentence


def test_job_without_held_out_rows_or_spectra_still_reads() -> None:
    told = correlate({"linear_probe": {}, "auto": {}})
    assert told["splits"] == {}
    assert told["sentence"].startswith("0 candidates with a spectrum")

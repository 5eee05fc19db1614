"""Correlate spectra with accuracy over the candidates of one job.

The papers say that SVE tracks accuracy in domain, and LSVR its loss out of domain. This shows
whether that holds for one job's candidates on one job's rows.
"""

from collections.abc import Mapping
from typing import Any

from nmtune import Evaluation, Spectrum
from nmtune.numeric.statistics import RankCorrelation, rank_correlation
from nmtune.vocabulary import TRAIN, VALIDATION

FEWEST_CANDIDATES = 4  # with three, every order occurs too often by chance
UNLIKELY = 0.05
NOT_TESTED_ON = (TRAIN, VALIDATION)  # accuracy there tests nothing

Found = tuple[Evaluation, Spectrum]


def correlate(candidates: Mapping[str, Mapping[str, Found]]) -> dict[str, Any]:
    """Spearman's correlation of SVE and LSVR with accuracy, by held-out split, with a sentence.

    candidates: candidate -> split -> evaluation and spectrum. A correlation is None with fewer than
    four candidates, or if one of the two does not vary.
    """
    by_split: dict[str, dict[str, Found]] = {}
    for name, splits in candidates.items():
        for split, found in splits.items():
            if split not in NOT_TESTED_ON:
                by_split.setdefault(split, {})[name] = found
    correlations = {split: _on_split(list(found.values())) for split, found in by_split.items()}
    return {
        "splits": {
            split: {
                "n_candidates": len(by_split[split]),
                **{measure: _to_dict(one) for measure, one in of_split.items()},
            }
            for split, of_split in correlations.items()
        },
        "sentence": _sentence(
            [one for each in correlations.values() for one in each.values() if one],
            n_candidates=max(map(len, by_split.values()), default=0),
        ),
    }


def _on_split(found: list[Found]) -> dict[str, RankCorrelation | None]:
    if len(found) < FEWEST_CANDIDATES:
        return {"entropy": None, "largest_ratio": None}
    accuracy = [evaluation.accuracy for evaluation, _ in found]
    return {
        "entropy": rank_correlation([one.entropy for _, one in found], accuracy),
        "largest_ratio": rank_correlation([one.largest_ratio for _, one in found], accuracy),
    }


def _to_dict(one: RankCorrelation | None) -> dict[str, float] | None:
    return None if one is None else {"rho": one.rho, "p_value": one.p_value}


def _sentence(found: list[RankCorrelation], *, n_candidates: int) -> str:
    if n_candidates < FEWEST_CANDIDATES:
        return (
            f"{_counted(n_candidates, 'candidate')} with a spectrum cannot show a correlation with "
            f"accuracy; it takes {FEWEST_CANDIDATES}."
        )
    if not found:
        return "No correlation: all candidates have the same spectra or the same accuracies."
    n_unlikely = sum(one.p_value < UNLIKELY for one in found)
    return (
        f"Over {n_candidates} candidates, {n_unlikely} of {_counted(len(found), 'correlation')} "
        "would be rare (below 5 %) if spectrum and accuracy were unrelated. So few candidates, all "
        "from one data set, describe only this job; they do not make SVE or LSVR a predictor of "
        "accuracy."
    )


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"

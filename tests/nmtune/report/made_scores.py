"""Scores of candidates as the report compares them, and the verdict on them."""

from collections.abc import Mapping, Sequence

import numpy as np

from nmtune.report.comparison import Score, best_rival, compare_candidates
from nmtune.report.verdict import Verdict, judge_job

N_ROWS = 1000


def scores_of(**n_right: Mapping[str, int]) -> dict[str, dict[str, Score]]:
    """Scores by candidate and split, from how many of 1000 rows are right."""
    return {
        candidate: {
            split: Score(correct=np.arange(N_ROWS) < right, macro_f1=right / N_ROWS)
            for split, right in splits.items()
        }
        for candidate, splits in n_right.items()
    }


def verdict_on(
    scores: dict[str, dict[str, Score]], *, method: str = "nmtune", made_of: Sequence[str] = ()
) -> Verdict:
    first = next(iter(scores.values()))
    id_split = "test" if "test" in first else None
    same = made_of if len(made_of) == 1 else ()
    rival = best_rival(scores, method=method, id_split=id_split, same=same)
    comparisons = compare_candidates(scores, method=method, id_split=id_split, rival=rival)
    choice = {"reason": "It was chosen.", "weights": dict.fromkeys(made_of, 1.0)}
    return judge_job(
        scores,
        comparisons,
        method=method,
        id_split=id_split,
        choice=choice if made_of else None,
        rival=rival,
    )


def three(
    probe: tuple[int, int], mlp: tuple[int, int], nmtune: tuple[int, int]
) -> dict[str, dict[str, Score]]:
    """Three candidates, each right on so many rows of (test, the one domain)."""
    named = {"linear_probe": probe, "mlp": mlp, "nmtune": nmtune}
    return scores_of(**{name: {"test": id_, "ood/b": ood} for name, (id_, ood) in named.items()})

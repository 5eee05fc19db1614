"""Compare and judge candidates honestly from plain arrays: the probabilities each one gave."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmtune.errors import DataError
from nmtune.report.comparison import Comparison, Pair, Rival, Score, best_rival, compare_pairs
from nmtune.report.verdict import Verdict, judge_candidates
from nmtune.rows.checks import as_numbers
from nmtune.study.evaluation import evaluate
from nmtune.vocabulary import ABLATION_PREFIX, ID_SPLIT, OOD_PREFIX

Results: TypeAlias = Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]]
"""Candidate -> split -> (probabilities (n, c), class indices (n,))."""


def compare(
    results: Results, *, candidate: str, baseline: str = "linear_probe"
) -> tuple[Comparison, ...]:
    """Compare candidates on the same held-out rows, in domain and out of domain.

    Three kinds of pairs are compared: `candidate` with `baseline`; `candidate` with the best of the
    other candidates; and every other candidate with `baseline`. Each pair is compared on the split
    ``"test"``, on every split ``"ood/<domain>"`` and on the unweighted mean over the domains. Other
    splits, such as ``"train"``, are ignored.

    All differences are paired: with :math:`n_g` rows that only the candidate gets right and
    :math:`n_l` that only the baseline gets right, of n rows, the difference in accuracy is
    :math:`(n_g - n_l) / n`. Its 95 % interval is a bootstrap over rows, and the p-value is
    McNemar's exact test on :math:`n_g` and :math:`n_l`.

    Parameters
    ----------
    results : mapping of str to mapping of str to tuple
        Candidate -> split -> ``(probabilities, y)``: probabilities of shape (n, c), and class
        indices y of shape (n,). All candidates need the same splits with the same y.
    candidate : str
        The candidate you would use.
    baseline : str, default="linear_probe"
        The simple candidate that every other one has to beat, named before seeing the results.

    Returns
    -------
    tuple of Comparison
        One entry per pair and split; ``entry.to_dict()`` gives a row for a DataFrame. The best
        other candidate is picked on these very rows, which flatters it: its interval is widened
        to as many comparisons as there were candidates to pick from (Bonferroni).

    Raises
    ------
    DataError
        A candidate is missing, splits or y differ between candidates, no split is a held-out one,
        or probabilities or y are invalid. ``field`` names the candidate and the split.

    See Also
    --------
    judge : The same comparison as a recommendation in words.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import compare
    >>> y = np.arange(400) % 2
    >>> def right_on(n):
    ...     predicted = np.where(np.arange(400) < n, y, 1 - y)
    ...     return np.where(np.arange(2) == predicted[:, None], 0.9, 0.1), y
    >>> results = {
    ...     "linear_probe": {"test": right_on(300), "ood/night": right_on(200)},
    ...     "mine": {"test": right_on(340), "ood/night": right_on(203)},
    ... }
    >>> for row in compare(results, candidate="mine"):
    ...     print(row.split, f"{row.accuracy_difference:+.3f}", row.finding)
    test +0.100 gain
    ood/night +0.007 probable_gain
    ood +0.007 probable_gain
    """
    return _Judged.of(results, candidate, baseline).comparisons


def judge(results: Results, *, candidate: str, baseline: str = "linear_probe") -> Verdict:
    """Say in words whether to use a candidate, and show the evidence.

    A candidate is recommended over the baseline only if it gains clearly somewhere, in domain or on
    the mean out-of-domain split, and loses nowhere, not even probably. A gain is clear if the 95 %
    interval of the paired difference excludes 0 and McNemar's test has p < 0.05; it is probable if
    the difference exceeds one standard error and p < 0.32. The other candidates are judged alike:
    where the best of them clearly beats `candidate`, it is recommended instead.

    Parameters
    ----------
    results, candidate, baseline
        As for `compare`.

    Returns
    -------
    Verdict
        ``summary`` is one line to act on, ``sentences`` hold every comparison in words, and
        ``recommended`` names the candidate to use (None where one gains here and loses there).

    Raises
    ------
    DataError
        As `compare`.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import judge
    >>> y = np.arange(400) % 2
    >>> def right_on(n):
    ...     predicted = np.where(np.arange(400) < n, y, 1 - y)
    ...     return np.where(np.arange(2) == predicted[:, None], 0.9, 0.1), y
    >>> results = {"plain": {"test": right_on(300)}, "mine": {"test": right_on(340)}}
    >>> verdict = judge(results, candidate="mine", baseline="plain")
    >>> print(verdict.summary)
    Use 'mine': against 'plain' it gains 10.0 points in domain (95 % interval +7.2 to +13.0).
    >>> verdict.recommended
    'mine'
    """
    judged = _Judged.of(results, candidate, baseline)
    return judge_candidates(
        judged.scores,
        judged.comparisons,
        method=candidate,
        reference=baseline,
        id_split=judged.id_split,
        rival=judged.rival,
    )


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """Checked results as scores, and every comparison of them."""

    scores: Mapping[str, Mapping[str, Score]]
    id_split: str | None
    rival: Rival | None
    comparisons: tuple[Comparison, ...]

    @classmethod
    def of(cls, results: Results, candidate: str, baseline: str) -> "_Judged":
        for name, what in ((candidate, "candidate"), (baseline, "baseline")):
            if name not in results:
                raise DataError(
                    f"{what} {name!r} has no results: known are {', '.join(map(repr, results))}",
                    field=what,
                )
        if len(results) < 2 or candidate == baseline:
            raise DataError("candidate and baseline must be two different ones", field="candidate")
        scores = _scores(results)
        id_split = ID_SPLIT if ID_SPLIT in scores[candidate] else None
        rival = best_rival(scores, method=candidate, id_split=id_split)
        pairs = _pairs(scores, candidate, baseline, rival)
        return cls(
            scores=scores,
            id_split=id_split,
            rival=rival,
            comparisons=compare_pairs(scores, pairs, id_split=id_split),
        )


def _pairs(
    names: Mapping[str, object], candidate: str, baseline: str, rival: Rival | None
) -> list[Pair]:
    pairs = [Pair(candidate, baseline)]
    if rival is not None and rival.name != baseline:
        pairs.append(Pair(candidate, rival.name, rival.n_others))
    others = [name for name in names if name not in (candidate, baseline)]
    return pairs + [Pair(name, baseline) for name in others if not name.startswith(ABLATION_PREFIX)]


def _scores(results: Results) -> dict[str, dict[str, Score]]:
    """Each candidate's scores on the held-out splits, which must hold the same rows for all."""
    first = next(iter(results))
    splits = [name for name in results[first] if _is_held_out(name)]
    if not splits:
        raise DataError(
            f"no split to compare on: name one {ID_SPLIT!r} (the training domain) or "
            f"'{OOD_PREFIX}<domain>' (another domain)",
            field=first,
        )
    labels: dict[str, NDArray[np.int64]] = {}
    scores: dict[str, dict[str, Score]] = {}
    for candidate, by_split in results.items():
        theirs = [name for name in by_split if _is_held_out(name)]
        if set(theirs) != set(splits):
            raise DataError(
                f"{candidate!r} has the splits {_listed(theirs)} but {first!r} has "
                f"{_listed(splits)}: every candidate needs the same splits",
                field=candidate,
            )
        scores[candidate] = {}
        for split in splits:
            y, scores[candidate][split] = _score(f"{candidate}.{split}", by_split[split])
            if not np.array_equal(labels.setdefault(split, y), y):
                raise DataError(
                    f"y of {candidate!r} on {split!r} differs from y of {first!r}: candidates are "
                    "compared row by row and need the same rows in the same order",
                    field=f"{candidate}.{split}",
                )
    return scores


def _is_held_out(split: str) -> bool:
    return split == ID_SPLIT or split.startswith(OOD_PREFIX)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


def _score(field: str, given: object) -> tuple[NDArray[np.int64], Score]:
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise DataError(
            f"{field} must be a pair (probabilities, y), got {type(given).__name__}", field=field
        )
    probabilities, y = given
    try:
        values = as_numbers(probabilities, field="probabilities")
        labels = as_numbers(y, field="y") if hasattr(y, "detach") else np.asarray(y)
        n_classes = values.shape[1] if values.ndim == 2 else 0
        found = evaluate(values, labels, [str(index) for index in range(n_classes)])
    except DataError as wrong:
        raise DataError(
            f"{field}: {wrong.message}", field=field, row=wrong.row, column=wrong.column
        ) from None
    correct = values.argmax(axis=1) == labels
    return labels.astype(np.int64), Score(correct=correct, macro_f1=found.macro_f1)

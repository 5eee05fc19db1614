"""Compare two published versions by their reports, and claim no more than they bear.

Where it is known which rows each got right, the comparison is paired. Elsewhere intervals are those
of two independent samples, and the verdict says so.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nmtune.numeric.statistics import (
    PairedCounts,
    bootstrap_interval,
    mcnemar_p_value,
    newcombe_interval,
)
from nmtune.report.comparison import CLEAR
from nmtune.report.wording import p_value_in_words
from nmtune.vocabulary import ID_SPLIT, OOD_PREFIX

METRICS: Final = ("accuracy", "macro_f1", "log_loss", "ece")
PAIRED: Final = (
    "Paired: intervals (of the bootstrap) and p-values (of McNemar's exact test) go by the rows "
    "that only one of the two got right."
)
UNPAIRED: Final = (
    "so intervals treat the two results as independent samples. On the same rows a paired test "
    "would usually be sharper."
)
"""How a sentence ends that says why a comparison is not paired."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """What a report says about one version: its name, its classes and, by split, its metrics.

    identity: equal for two versions that are the same bytes, such as a sha256. adapted: of a
    version that was adapted and so has no metrics, a sentence on what that was worth.
    """

    title: str
    identity: str
    classes: Sequence[str]
    metrics: Mapping[str, Mapping[str, Any]]
    adapted: str | None = None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One metric of both versions; `interval` (95 %) is given for accuracy only."""

    before: float | None
    after: float | None
    difference: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class SplitComparison:
    """Both versions on the split of one name; `same_rows`: the rows are known to be the same.

    paired: the rows that only one of the two got right, `after` as the candidate; None if unknown.
    p_value: McNemar's test of them.
    """

    split: str
    n_rows_before: int | None
    n_rows_after: int | None
    same_rows: bool
    metrics: dict[str, Difference]
    paired: PairedCounts | None = None
    p_value: float | None = None

    @property
    def accuracy(self) -> Difference:
        """The metric that the verdict rests on."""
        return self.metrics["accuracy"]

    @property
    def direction(self) -> int:
        """1 if `after` is clearly more accurate, -1 if clearly less, 0 if neither is clear."""
        low, high = self.accuracy.interval or (0.0, 0.0)
        if self.p_value is not None and self.p_value >= CLEAR:
            return 0
        return int(low > 0) - int(high < 0)


def compare_splits(
    before: Version,
    after: Version,
    *,
    same_rows: bool,
    changed: Collection[str] = (),
    paired: Mapping[str, PairedCounts] | None = None,
) -> list[SplitComparison]:
    """Both versions side by side on every split that either was tested on.

    same_rows: whether splits of one name are known to hold the same rows, those in `changed` aside.
    paired: by split, which rows only one of the two got right, with `after` as the candidate.
    """
    names = [*before.metrics, *(name for name in after.metrics if name not in before.metrics)]
    return [
        _split(
            name,
            before.metrics.get(name),
            after.metrics.get(name),
            same_rows=same_rows and name not in changed,
            paired=(paired or {}).get(name),
        )
        for name in names
    ]


def verdict(before: Version, after: Version, splits: Sequence[SplitComparison]) -> str:
    """One sentence that claims no more than the figures bear."""
    old, new = before.title, after.title
    if before.identity == after.identity:
        return f"{old} and {new} are the same head, byte for byte."
    if set(before.classes) != set(after.classes):
        return f"{old} and {new} have different classes, so their figures are not comparable."
    if adapted := [one.adapted for one in (before, after) if one.adapted is not None]:
        return " ".join(adapted)
    test = next((one for one in splits if one.split == ID_SPLIT), None)
    if test is None or test.accuracy.difference is None or test.accuracy.interval is None:
        return f"Nothing to judge by: {old} and {new} were not both tested on a test split."
    figures = f"{_percent(test.accuracy.after)} against {_percent(test.accuracy.before)}"
    if not test.same_rows:
        return (
            f"Not comparable as measured: {new} and {old} were tested on different data "
            f"({figures}), so the data may explain the difference."
        )
    found = f"{figures}, {_interval(test)}"
    where = f"on the same {test.n_rows_after} test rows"
    if not test.direction:
        might = "" if test.paired else " A paired test might find one, if both kept their rows."
        return (
            f"No clear difference between {new} and {old} {where} ({found}){_elsewhere(splits)}."
            f"{might}"
        )
    word = "more" if test.direction > 0 else "less"
    return (
        f"{new} is {word} accurate than {old} {where} ({found}){_elsewhere(splits)}. This says "
        "nothing about other data or other seeds."
    )


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The leaves in which two documents differ, by dotted path: `members.0.epochs`.

    Each is (before, after), None where a document lacks the leaf.
    """
    old, new = _leaves(before), _leaves(after)
    names = [*old, *(name for name in new if name not in old)]
    return {
        name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)
    }


def _split(
    name: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *,
    same_rows: bool,
    paired: PairedCounts | None,
) -> SplitComparison:
    n_before, n_after = (before or {}).get("n_rows"), (after or {}).get("n_rows")
    metrics = {}
    for metric in METRICS:
        first, second = (before or {}).get(metric), (after or {}).get(metric)
        difference = interval = None
        if first is not None and second is not None:
            difference = second - first
            if metric == "accuracy" and paired is not None:
                interval = bootstrap_interval([paired])
            elif metric == "accuracy" and n_before and n_after:
                interval = newcombe_interval(first, n_before, second, n_after)
        metrics[metric] = Difference(
            before=first, after=second, difference=difference, interval=interval
        )
    return SplitComparison(
        split=name,
        n_rows_before=n_before,
        n_rows_after=n_after,
        same_rows=same_rows and before is not None and after is not None,
        metrics=metrics,
        paired=paired,
        p_value=None if paired is None else mcnemar_p_value(paired.n_gained, paired.n_lost),
    )


def _interval(test: SplitComparison) -> str:
    """The interval of the difference in words, and whether it is paired."""
    low, high = test.accuracy.interval or (0.0, 0.0)
    points = f"95 % interval of the difference {100 * low:+.1f} to {100 * high:+.1f} points"
    if test.paired is None:
        return f"unpaired {points}"
    return (
        f"{test.paired.n_gained} gained and {test.paired.n_lost} lost, paired {points}, "
        f"{p_value_in_words(test.p_value or 0.0)}"
    )


def _elsewhere(splits: Sequence[SplitComparison]) -> str:
    """What clearly differs on out-of-domain splits, so that no verdict hides a loss there."""
    better, worse = [], []
    for one in splits:
        if one.split.startswith(OOD_PREFIX) and one.same_rows:
            if one.direction > 0:
                better.append(one.split)
            if one.direction < 0:
                worse.append(one.split)
    found = [f"clearly worse on {', '.join(worse)}"] if worse else []
    found += [f"clearly better on {', '.join(better)}"] if better else []
    return f", and {' and '.join(found)}" if found else ""


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:.1f} %"


def _leaves(value: object, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping) and value:
        items = [(str(name), item) for name, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return {prefix: value} if prefix else {}
    found: dict[str, Any] = {}
    for name, item in items:
        found |= _leaves(item, f"{prefix}.{name}" if prefix else name)
    return found

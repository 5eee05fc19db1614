"""Compare two versions of a head: what differs, and what that shows or does not.

Reports keep no per-row results, so no paired test is possible here: the intervals are those of two
independent samples, and every answer says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

from store.heads import HeadVersion

METRICS: Final = ("accuracy", "macro_f1", "log_loss", "ece")
ID_SPLIT: Final = "test"
UNPAIRED: Final = (
    "Not paired: reports keep no per-row results, so the intervals treat the two results as "
    "independent samples. On the same rows a paired test would usually be sharper."
)
_Z: Final = 1.959963984540054  # of 95 %, two-sided


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One figure of both; `interval` is the 95 % interval of the difference, for accuracy only."""

    before: float | None
    after: float | None
    difference: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class SplitComparison:
    """The figures of both on the splits of one name; `same_rows`: known to be the same data."""

    split: str
    n_rows_before: int | None
    n_rows_after: int | None
    same_rows: bool
    metrics: dict[str, Difference]

    @property
    def accuracy(self) -> Difference:
        """The figure that the verdict is based on."""
        return self.metrics["accuracy"]


@dataclass(frozen=True, kw_only=True)
class HeadComparison:
    """Two versions of a head side by side; values that differ are (before, after)."""

    before: HeadVersion
    after: HeadVersion
    splits: list[SplitComparison]
    config: dict[str, tuple[Any, Any]]
    lineage: dict[str, tuple[Any, Any]]
    classes_added: list[str]
    classes_removed: list[str]
    classes_reordered: bool
    verdict: str


def compare(before: HeadVersion, after: HeadVersion) -> HeadComparison:
    """What changed from one version to another, and what the test rows say about it."""
    same_rows = _same_data(before, after)
    names = [*before.metrics, *(name for name in after.metrics if name not in before.metrics)]
    splits = [
        _split(name, before.metrics.get(name), after.metrics.get(name), same_rows=same_rows)
        for name in names
    ]
    return HeadComparison(
        before=before,
        after=after,
        splits=splits,
        config=_differences(_flat(before.config), _flat(after.config)),
        lineage=_differences(_flat(_lineage(before)), _flat(_lineage(after))),
        classes_added=[name for name in after.classes if name not in before.classes],
        classes_removed=[name for name in before.classes if name not in after.classes],
        classes_reordered=(
            before.classes != after.classes and set(before.classes) == set(after.classes)
        ),
        verdict=_verdict(before, after, splits),
    )


def accuracy_interval(
    before: float, n_before: int, after: float, n_after: int
) -> tuple[float, float]:
    """The 95 % interval of after - before, two accuracies on independent rows.

    Newcombe's hybrid of Wilson's score intervals (1998, method 10), which holds for few rows and
    for accuracies near 1.
    """
    low_1, high_1 = _wilson(before, n_before)
    low_2, high_2 = _wilson(after, n_after)
    difference = after - before
    return (
        difference - sqrt((after - low_2) ** 2 + (high_1 - before) ** 2),
        difference + sqrt((high_2 - after) ** 2 + (before - low_1) ** 2),
    )


def _wilson(share: float, n: int) -> tuple[float, float]:
    scale = 1 + _Z**2 / n
    centre = (share + _Z**2 / (2 * n)) / scale
    half = _Z * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def _same_data(before: HeadVersion, after: HeadVersion) -> bool:
    if before.dataset_sha256 is None or after.dataset_sha256 is None:
        return before.dataset_id == after.dataset_id
    return before.dataset_sha256 == after.dataset_sha256


def _split(
    name: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *,
    same_rows: bool,
) -> SplitComparison:
    n_before, n_after = (before or {}).get("n_rows"), (after or {}).get("n_rows")
    metrics = {}
    for metric in METRICS:
        first, second = (before or {}).get(metric), (after or {}).get(metric)
        difference = interval = None
        if first is not None and second is not None:
            difference = second - first
            if metric == "accuracy" and n_before and n_after:
                interval = accuracy_interval(first, n_before, second, n_after)
        metrics[metric] = Difference(
            before=first,
            after=second,
            difference=difference,
            interval=interval,
        )
    return SplitComparison(
        split=name,
        n_rows_before=n_before,
        n_rows_after=n_after,
        same_rows=same_rows and before is not None and after is not None,
        metrics=metrics,
    )


def _verdict(before: HeadVersion, after: HeadVersion, splits: Sequence[SplitComparison]) -> str:
    """One sentence that claims no more than the figures bear."""
    old, new = (f"{one.name}@{one.version}" for one in (before, after))
    if before.sha256 == after.sha256:
        return f"{old} and {new} are the same head, byte for byte."
    if set(before.classes) != set(after.classes):
        return (
            f"{old} and {new} have different classes, so their figures answer different questions "
            "and cannot be compared."
        )
    test = next((one for one in splits if one.split == ID_SPLIT), None)
    if test is None or test.accuracy.difference is None or test.accuracy.interval is None:
        return f"Nothing to judge by: not both of {old} and {new} were tested on a test split."
    figures = f"{_percent(test.accuracy.after)} against {_percent(test.accuracy.before)}"
    if not test.same_rows:
        return (
            f"Not comparable as measured: {new} and {old} were tested on different data "
            f"({figures}), so the difference may come from the data rather than from the head."
        )
    low, high = test.accuracy.interval
    found = (
        f"{figures}, unpaired 95 % interval of the difference {100 * low:+.1f} to "
        f"{100 * high:+.1f} points"
    )
    where = f"on the same {test.n_rows_after} test rows"
    if low <= 0 <= high:
        return (
            f"No clear difference between {new} and {old} {where} ({found}){_elsewhere(splits)}; "
            "a paired test, which might find one, needs per-row results that reports do not keep."
        )
    word = "more" if low > 0 else "less"
    return (
        f"{new} is {word} accurate than {old} {where} ({found}){_elsewhere(splits)}; this says "
        "nothing about other data or other seeds."
    )


def _elsewhere(splits: Sequence[SplitComparison]) -> str:
    """What clearly differs on out-of-domain splits, so that no verdict hides a loss there."""
    better, worse = [], []
    for one in splits:
        if one.split.startswith("ood/") and one.same_rows and one.accuracy.interval is not None:
            low, high = one.accuracy.interval
            if low > 0:
                better.append(one.split)
            if high < 0:
                worse.append(one.split)
    found = [f"clearly worse on {', '.join(worse)}"] if worse else []
    found += [f"clearly better on {', '.join(better)}"] if better else []
    return f", and {' and '.join(found)}" if found else ""


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:.1f} %"


def _lineage(version: HeadVersion) -> dict[str, Any]:
    return {
        "method": version.method,
        "n_columns": version.n_columns,
        "n_parameters": version.n_parameters,
        "job_id": version.job_id,
        "dataset_id": version.dataset_id,
        "dataset_sha256": version.dataset_sha256,
        "head_sha256": version.sha256,
        **version.lineage,
    }


def _flat(value: object, prefix: str = "") -> dict[str, Any]:
    """A document as dotted paths to its leaves: `members.0.epochs`."""
    if isinstance(value, Mapping) and value:
        items = [(str(name), item) for name, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return {prefix: value} if prefix else {}
    found: dict[str, Any] = {}
    for name, item in items:
        found |= _flat(item, f"{prefix}.{name}" if prefix else name)
    return found


def _differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [*before, *(name for name in after if name not in before)]
    return {
        name: (before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    }

"""Compare two versions of a head: origins here, figures in `nmtune.report.versions`.

Which rows only one of the two got right comes from `service.heads.pairing`.
"""

from dataclasses import dataclass
from typing import Any

from nmtune.report.versions import (
    METRICS,
    Difference,
    SplitComparison,
    Version,
    compare_splits,
    differences,
    verdict,
)
from service.heads.adapted import sentence
from service.heads.pairing import Pairing, SharedRows
from store.registry.heads import HeadVersion

__all__ = ["METRICS", "Difference", "HeadComparison", "SplitComparison", "compare"]


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
    note: str
    """What the intervals are, and why if they are not paired."""


def compare(
    before: HeadVersion, after: HeadVersion, pairing: Pairing, shared: SharedRows
) -> HeadComparison:
    """What changed from one version to another, and what the test rows say about it."""
    old, new = _version(before), _version(after)
    splits = compare_splits(
        old,
        new,
        same_rows=shared.are_known,
        changed=shared.changed_splits,
        paired=pairing.counts,
    )
    return HeadComparison(
        before=before,
        after=after,
        splits=splits,
        config=differences(before.config, after.config),
        lineage=differences(_lineage(before), _lineage(after)),
        classes_added=[name for name in after.classes if name not in before.classes],
        classes_removed=[name for name in before.classes if name not in after.classes],
        classes_reordered=(
            before.classes != after.classes and set(before.classes) == set(after.classes)
        ),
        verdict=verdict(old, new, splits),
        note=pairing.note,
    )


def _version(one: HeadVersion) -> Version:
    return Version(
        title=f"{one.name}@{one.version}",
        identity=one.sha256,
        classes=one.classes,
        metrics=one.metrics,
        adapted=sentence(one),
    )


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

"""Pair two versions row by row, where their jobs keep what each candidate said of each row."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nmtune.numeric.statistics import PairedCounts
from nmtune.report.versions import PAIRED, UNPAIRED
from nmtune.vocabulary import TRAIN
from service.heads.adapted import is_moved
from store import job_files
from store.datasets import Dataset
from store.errors import (
    ArtifactCorrupt,
    ArtifactMissing,
    InvalidDatasetFile,
    JobFileExpired,
    JobFileMissing,
    StorageUnavailable,
)
from store.files.job_rows import JobRows
from store.registry.heads import HeadVersion
from store.store import Store

_UNREADABLE: Final = (ArtifactCorrupt, ArtifactMissing, InvalidDatasetFile, StorageUnavailable)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SharedRows:
    """Whether splits of one name are known to hold the same rows; those in `changed_splits` not."""

    are_known: bool
    changed_splits: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, before: HeadVersion, after: HeadVersion, revisions: Sequence[Dataset]
    ) -> "SharedRows":
        """revisions: the datasets from that of `before` to that of `after`, if they lead there."""
        if before.dataset_sha256 is None or after.dataset_sha256 is None:
            return cls(are_known=before.dataset_id == after.dataset_id)
        if before.dataset_sha256 == after.dataset_sha256:
            return cls(are_known=True)
        changed = [(one.lineage or {}).get("changed_splits", ()) for one in revisions]
        return cls(are_known=bool(revisions), changed_splits=frozenset(chain(*changed)))


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """By split, the rows that only one of two versions got right; empty if they are not paired.

    note: what the intervals of the comparison are, and why if they are not paired.
    """

    counts: Mapping[str, PairedCounts] = field(default_factory=dict)
    note: str


class _UnpairedError(Exception):
    """Why two versions cannot be paired, as the beginning of a sentence."""


def pair(store: Store, before: HeadVersion, after: HeadVersion, shared: SharedRows) -> Pairing:
    """The two versions on each split that both were tested on, the training rows aside.

    What is kept of training rows was said by other models, which had not seen the row.
    """
    try:
        return Pairing(counts=_counts(store, before, after, shared), note=PAIRED)
    except _UnpairedError as reason:
        return Pairing(note=f"Not paired: {reason}, {UNPAIRED}")


def _counts(
    store: Store, before: HeadVersion, after: HeadVersion, shared: SharedRows
) -> dict[str, PairedCounts]:
    for one in (before, after):
        if one.adapted_from is not None:
            raise _UnpairedError(
                f"{one.name}@{one.version} was adapted, and its job's rows are those of another "
                "version"
            )
        if is_moved(one):
            raise _UnpairedError(
                f"{one.name}@{one.version} was moved to another encoder by a bridge, and was "
                "tested on no split"
            )
    if before.dataset_sha256 is None or after.dataset_sha256 is None:
        raise _UnpairedError("it is not known whether the two were tested on the same data")
    if not shared.are_known:
        raise _UnpairedError("the two were tested on different data")
    old, new = _correct(store, before), _correct(store, after)
    counts = {
        split: PairedCounts.of(new[split], correct)
        for split, correct in old.items()
        if split in new and split not in {TRAIN, *shared.changed_splits} and len(correct)
    }
    if not counts:
        raise _UnpairedError("the two share no split that both were tested on")
    return counts


def _correct(store: Store, version: HeadVersion) -> dict[str, NDArray[np.bool_]]:
    """By split, which rows (n,) the version got right."""
    title = f"{version.name}@{version.version}"
    try:
        with store.database.read() as tx:
            kept = job_files.get(tx, version.tenant_id, version.job_id, job_files.ROWS)
        rows = JobRows.open(store.artifacts.open_path(version.tenant_id, kept.sha256))
        correct = {
            split: np.asarray(one.predictions[version.method].predicted == one.label)
            for split, one in rows.splits.items()
            if version.method in one.predictions
        }
        if rows.file is not None:
            rows.file.check(kept.sha256)
    except JobFileMissing:
        raise _UnpairedError(
            f"{title} comes from an earlier release, which kept no results by row"
        ) from None
    except JobFileExpired:
        raise _UnpairedError(f"the results by row of {title} are no longer kept") from None
    except _UNREADABLE as error:
        logger.warning("compare.rows_unreadable head=%s reason=%s", title, error)
        raise _UnpairedError(f"the results by row of {title} cannot be read now") from None
    return correct

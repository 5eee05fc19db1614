"""JSON shapes of a comparison of two head versions."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.heads.comparison import HeadComparison as ComparisonRecord
from service.heads.comparison import SplitComparison as SplitRecord
from service.http.fields import Name
from store.datasets import Dataset
from store.registry.heads import HeadVersion as HeadVersionRecord


class CompareQuery(BaseModel):
    """Which two versions of the head to compare."""

    model_config = ConfigDict(extra="forbid")

    from_: Name = Field(
        alias="from", description="A version number, an alias or latest.", examples=["2"]
    )
    to: Name = Field(description="A version number, an alias or latest.", examples=["prod"])


class Compared(BaseModel):
    """One of the two versions."""

    name: str
    version: int
    method: str
    aliases: list[str]

    @classmethod
    def of(cls, record: HeadVersionRecord) -> "Compared":
        """What identifies the version."""
        return cls(
            name=record.name,
            version=record.version,
            method=record.method,
            aliases=list(record.aliases),
        )


class Change(BaseModel):
    """A value that differs; null where one of the two has none."""

    model_config = ConfigDict(populate_by_name=True)

    from_: Any = Field(alias="from")
    to: Any


class Difference(BaseModel):
    """One figure of both, and to minus from."""

    model_config = ConfigDict(populate_by_name=True)

    from_: float | None = Field(alias="from")
    to: float | None
    difference: float | None
    interval: tuple[float, float] | None = Field(
        description="For accuracy: the 95 % interval of the difference; paired if n_gained is "
        "given."
    )


class SplitComparison(BaseModel):
    """The figures of both on one split."""

    split: str
    n_rows_from: int | None
    n_rows_to: int | None
    same_rows: bool = Field(
        description="Whether both are known to have been tested on the same rows."
    )
    n_gained: int | None = Field(
        description="Rows that only to got right; null where the rows are not paired."
    )
    n_lost: int | None = Field(description="Rows that only from got right.")
    p_value: float | None = Field(description="McNemar's exact test of the two, two-sided.")
    metrics: dict[str, Difference]

    @classmethod
    def of(cls, record: SplitRecord) -> "SplitComparison":
        """The figures of one split as the API shows them."""
        paired = record.paired
        return cls(
            split=record.split,
            n_rows_from=record.n_rows_before,
            n_rows_to=record.n_rows_after,
            same_rows=record.same_rows,
            n_gained=None if paired is None else paired.n_gained,
            n_lost=None if paired is None else paired.n_lost,
            p_value=record.p_value,
            metrics={
                name: Difference(
                    from_=metric.before,
                    to=metric.after,
                    difference=metric.difference,
                    interval=metric.interval,
                )
                for name, metric in record.metrics.items()
            },
        )


class ClassChanges(BaseModel):
    """How the classes differ."""

    added: list[str]
    removed: list[str]
    reordered: bool = Field(description="The same classes, in another order of columns.")


class DatasetRevision(BaseModel):
    """How the dataset of one version was made from that of the other, all steps together."""

    n_revisions: int
    n_relabelled: int
    n_dropped: int
    n_added: int
    notes: list[str] = Field(description="The notes of the steps, in their order.")

    @classmethod
    def of(cls, revisions: Sequence[Dataset]) -> "DatasetRevision | None":
        """The sums over the steps; None without any."""
        steps = [one.lineage for one in revisions if one.lineage is not None]
        if not steps:
            return None
        return cls(
            n_revisions=len(steps),
            n_relabelled=sum(step["n_relabelled"] for step in steps),
            n_dropped=sum(step["n_dropped"] for step in steps),
            n_added=sum(step["n_added"] for step in steps),
            notes=[step["note"] for step in steps if step["note"]],
        )


class HeadComparison(BaseModel):
    """Two versions side by side."""

    model_config = ConfigDict(populate_by_name=True)

    from_: Compared = Field(alias="from")
    to: Compared
    verdict: str = Field(description="One sentence that claims no more than the figures bear.")
    paired: bool = Field(
        description="Whether the rows that only one of the two got right are known, apart from "
        "the training rows."
    )
    note: str = Field(description="What the intervals are, and why if they are not paired.")
    splits: list[SplitComparison]
    config: dict[str, Change] = Field(description="The settings that differ, by dotted path.")
    classes: ClassChanges
    lineage: dict[str, Change] = Field(description="What else differs in how the two were made.")
    dataset_revision: DatasetRevision | None = Field(
        description="If the later dataset was made from the earlier one by corrections or added "
        "rows: what was changed."
    )

    @classmethod
    def of(cls, record: ComparisonRecord, revisions: Sequence[Dataset] = ()) -> "HeadComparison":
        """The comparison as the API shows it; `revisions` lead from one dataset to the other."""
        return cls(
            from_=Compared.of(record.before),
            to=Compared.of(record.after),
            verdict=record.verdict,
            paired=any(one.paired is not None for one in record.splits),
            note=record.note,
            splits=[SplitComparison.of(one) for one in record.splits],
            config=_changes(record.config),
            classes=ClassChanges(
                added=record.classes_added,
                removed=record.classes_removed,
                reordered=record.classes_reordered,
            ),
            lineage=_changes(record.lineage),
            dataset_revision=DatasetRevision.of(revisions),
        )


def _changes(found: dict[str, tuple[Any, Any]]) -> dict[str, Change]:
    return {name: Change(from_=before, to=after) for name, (before, after) in found.items()}

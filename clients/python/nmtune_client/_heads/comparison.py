"""Compare two versions of a head."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from nmtune_client._heads.values import HeadRef
from nmtune_client._http.values import Json
from nmtune_client._show import plain
from nmtune_client._show.reprs import Shown, Table


@dataclass(frozen=True, kw_only=True, repr=False)
class HeadComparison(Table, Shown):
    """Two versions of a head side by side; `str()` is a table, `raw` the answer as it came.

    `verdict` claims no more than the figures bear, and `note` says what the intervals are. `config`
    and `lineage` hold what differs: {"epochs": {"from": 3, "to": 5}}. `splits`: one
    {"split", "same_rows", "n_gained", "n_lost", "p_value", "metrics": {"accuracy": {"from", "to",
    "difference", "interval"}}} each; the three figures in the middle are None unless it is paired.
    """

    before: HeadRef
    after: HeadRef
    verdict: str
    note: str
    splits: tuple[Json, ...] = field(repr=False)
    config: Mapping[str, Json] = field(repr=False)
    lineage: Mapping[str, Json] = field(repr=False)
    classes_added: tuple[str, ...]
    classes_removed: tuple[str, ...]
    paired: bool = False
    """Whether the intervals are of the same rows, compared one by one."""
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, data: Any) -> Self:
        return cls(
            before=HeadRef.from_json(data["from"]),
            after=HeadRef.from_json(data["to"]),
            verdict=data["verdict"],
            note=data["note"],
            splits=tuple(data["splits"]),
            config=data["config"],
            lineage=data["lineage"],
            classes_added=tuple(data["classes"]["added"]),
            classes_removed=tuple(data["classes"]["removed"]),
            paired=bool(data.get("paired")),
            raw=data,
        )

    @property
    def from_(self) -> HeadRef:
        """`before` by the API's word, which Python keeps for itself."""
        return self.before

    @property
    def to(self) -> HeadRef:
        """`after` by the API's word."""
        return self.after

    @property
    def dataset_revision(self) -> Json | None:
        """What was corrected and added from the dataset of `before` to that of `after`.

        None unless the one was made from the other.
        """
        found: Json | None = self.raw.get("dataset_revision")
        return found

    @property
    def classes(self) -> Mapping[str, Any]:
        """The classes that were added, removed or put in another order."""
        found: Mapping[str, Any] = self.raw["classes"]
        return found

    def __str__(self) -> str:
        return comparison_text(self)


def comparison_text(found: HeadComparison) -> str:
    """The verdict, figures by split, and what else differs."""
    rows = [["split", "metric", str(found.before), str(found.after), "difference", "95 %", "rows"]]
    for split in found.splits:
        for metric, figures in split["metrics"].items():
            if figures["from"] is None and figures["to"] is None:
                continue
            low_high = figures["interval"]
            rows.append(
                [
                    split["split"],
                    metric,
                    _figure(figures["from"]),
                    _figure(figures["to"]),
                    _figure(figures["difference"], signed=True),
                    f"{low_high[0]:+.4f} to {low_high[1]:+.4f}" if low_high else "",
                    "same" if split["same_rows"] else "different",
                ]
            )
    parts = [found.verdict, plain.columns(rows, right=(2, 3, 4)), _paired(found), found.note]
    parts = [part for part in parts if part]
    for title, changes in (("config", found.config), ("lineage", found.lineage)):
        if changes:
            lines = [
                [name, str(one["from"]), "->", str(one["to"])] for name, one in changes.items()
            ]
            parts.append(f"{title}:\n{plain.columns(lines)}")
    if revision := found.dataset_revision:
        parts.append(
            f"dataset: {revision['n_relabelled']} rows relabelled, {revision['n_dropped']} left "
            f"out, {revision['n_added']} added"
        )
    for word, names in (("added", found.classes_added), ("removed", found.classes_removed)):
        if names:
            parts.append(f"classes {word}: {', '.join(names)}")
    return "\n\n".join(parts)


def _paired(found: HeadComparison) -> str:
    """The rows that only one of the two got right, split by split; empty unless it is paired."""
    rows = [["split", f"only {found.after} right", f"only {found.before} right", "McNemar p"]]
    rows += [
        [one["split"], f"{one['n_gained']:,}", f"{one['n_lost']:,}", f"{one['p_value']:.3g}"]
        for one in found.splits
        if one.get("n_gained") is not None
    ]
    return plain.columns(rows, right=(1, 2, 3)) if len(rows) > 1 else ""


def _figure(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:+.4f}" if signed else f"{value:.4f}"

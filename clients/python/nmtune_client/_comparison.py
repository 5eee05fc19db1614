"""Home of `HeadComparison`, what two versions of a head differ in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from nmtune_client._types import HeadRef, Json


@dataclass(frozen=True, kw_only=True)
class HeadComparison:
    """Two versions of a head side by side; `raw` is the answer as it came.

    `verdict` claims no more than the figures bear, and `note` says what the intervals are. `config`
    and `lineage` hold what differs: {"epochs": {"from": 3, "to": 5}}. `splits`: one
    {"split", "same_rows", "metrics": {"accuracy": {"from", "to", "difference", "interval"}}} each.
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
            raw=data,
        )

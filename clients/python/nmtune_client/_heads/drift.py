"""Drift: how recently predicted rows differ from the rows that a head was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from nmtune_client._http.values import Json, build, known_in, member, time_of
from nmtune_client._show.reprs import Shown


@dataclass(frozen=True, kw_only=True, repr=False)
class DriftWindow(Shown):
    """One hour of predictions, compared on its own; figures are None where it has too few rows."""

    started_at: datetime | None = None
    state: str = ""
    n_rows: int = 0
    mean_shift: float | None = None
    spread_ratio: float | None = None
    norm_psi: float | None = None
    class_psi: float | None = None

    @classmethod
    def from_json(cls, data: object) -> Self:
        return build(cls, known_in(cls, data, started_at=time_of(data, "started_at")))


@dataclass(frozen=True, kw_only=True, repr=False)
class Drift(Shown):
    """The server's comparison; figures are None where there are too few rows.

    `state` is not_enough_rows, none, some or much, and `sentence` the same for people.
    `mean_shift` is in deviations of the training rows, `norm_psi` and `class_psi` are population
    stability indices, `columns` those whose means moved most. `windows`, if they were asked for,
    are the hours with rows, oldest first; `raw` is the answer as it came.
    """

    name: str
    version: int
    state: str
    sentence: str
    n_rows: int
    n_training_rows: int
    hours: int | None = None
    is_recording: bool | None = None
    mean_shift: float | None = None
    spread_ratio: float | None = None
    norm_psi: float | None = None
    class_psi: float | None = None
    columns: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    first_at: datetime | None = None
    last_at: datetime | None = None
    windows: tuple[DriftWindow, ...] = field(default=(), repr=False)
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: object) -> Self:
        known = known_in(
            cls,
            data,
            first_at=time_of(data, "first_at"),
            last_at=time_of(data, "last_at"),
            windows=tuple(map(DriftWindow.from_json, member(data, "windows") or ())),
        )
        return build(cls, known | {"columns": tuple(known.get("columns") or ())})

    def __str__(self) -> str:
        return f"{self.name}@{self.version}: {self.sentence}"

"""JSON shapes of drift, with one example each."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from nmtune.trust.drift import Drift, State
from service.http.fields import MAX_VERSION, Alias
from store.drift import KEPT_HOURS, Total, Window
from store.registry.heads import HeadVersion


class DriftQuery(BaseModel):
    """Which version, and how far back; by default the latest version and one day."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(
        default=None, ge=1, le=MAX_VERSION, description="The version number.", examples=[3]
    )
    alias: Alias | None = Field(
        default=None, description="The alias of a version.", examples=["prod"]
    )
    hours: int = Field(
        default=24,
        ge=1,
        le=KEPT_HOURS,
        description="How many hours to look back.",
        examples=[24],
    )
    by: Literal["hour"] | None = Field(
        default=None, description="Also compare each hour on its own.", examples=["hour"]
    )


class ColumnShift(BaseModel):
    """How far the mean of one column moved."""

    column: int = Field(description="0-based.")
    shift: float = Field(description="In standard deviations of the training rows.")
    z: float = Field(description="In standard errors: more than about 3 is not chance.")


class DriftWindow(BaseModel):
    """One hour, compared on its own; null where it has too few rows."""

    started_at: datetime
    state: State
    n_rows: int
    mean_shift: float | None
    spread_ratio: float | None
    norm_psi: float | None
    class_psi: float | None

    @classmethod
    def of(cls, window: Window, drift: Drift) -> "DriftWindow":
        """The hour as the API shows it."""
        return cls(
            started_at=window.started_at,
            state=drift.state,
            n_rows=drift.n_rows,
            mean_shift=drift.mean_shift,
            spread_ratio=drift.spread_ratio,
            norm_psi=drift.norm_psi,
            class_psi=drift.class_psi,
        )


class HeadDrift(BaseModel):
    """How rows predicted lately differ from the training rows; null where there are too few."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "pets",
                    "version": 3,
                    "hours": 24,
                    "is_recording": True,
                    "state": "some",
                    "sentence": "The predicted classes of 5,210 rows have moved somewhat: means "
                    "moved by 0.04 deviations, norms by a PSI of 0.00, predicted classes by 0.17.",
                    "n_rows": 5210,
                    "n_training_rows": 3240,
                    "mean_shift": 0.04,
                    "spread_ratio": 1.01,
                    "norm_psi": 0.0,
                    "class_psi": 0.17,
                    "columns": [{"column": 17, "shift": 0.21, "z": 9.4}],
                    "first_at": "2026-11-25T04:00:00Z",
                    "last_at": "2026-11-26T03:00:00Z",
                    "windows": None,
                }
            ]
        }
    )

    name: str
    version: int
    hours: int
    is_recording: bool = Field(description="Whether rows are being counted now (NMTUNE_DRIFT).")
    state: State = Field(
        description="The worst of mean_shift and the two PSI: 0.1 some, 0.25 much."
    )
    sentence: str
    n_rows: int = Field(description="Rows predicted in those hours.")
    n_training_rows: int
    mean_shift: float | None = Field(
        description="Root mean square over columns, in training deviations, chance subtracted."
    )
    spread_ratio: float | None = Field(
        description="Mean variance, divided by that of the training rows."
    )
    norm_psi: float | None = Field(description="Population stability index of the norms.")
    class_psi: float | None = Field(
        description="Population stability index of the predicted classes."
    )
    columns: list[ColumnShift] = Field(description="The columns whose means moved most.")
    first_at: datetime | None = Field(description="When the first hour with rows began.")
    last_at: datetime | None = Field(description="When the last hour with rows began.")
    windows: list[DriftWindow] | None = Field(
        description="With by=hour: each hour with rows, oldest first."
    )

    @classmethod
    def of(
        cls,
        version: HeadVersion,
        drift: Drift,
        total: Total,
        *,
        hours: int,
        is_recording: bool,
        windows: list[DriftWindow] | None,
    ) -> "HeadDrift":
        """The comparison as the API shows it."""
        shown = drift.to_dict()
        if not is_recording:
            shown["sentence"] += (
                " Rows are not being counted now: set NMTUNE_DRIFT=on to count them."
            )
        return cls(
            name=version.name,
            version=version.version,
            hours=hours,
            is_recording=is_recording,
            first_at=total.first_at,
            last_at=total.last_at,
            windows=windows,
            **shown,
        )

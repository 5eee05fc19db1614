"""The home of the JSON shapes of heads, one example each."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.schemas import Cursor, Limit
from store.heads import Head as HeadRecord
from store.heads import HeadVersion as HeadVersionRecord

MAX_VERSION = 2**31 - 1
MAX_REFERENCE_CHARACTERS = 129
"""Two names of 64 characters and the @ between them."""

REFERENCE = "name (the latest version), name@version, name@alias or name@latest."


class HeadVersion(BaseModel):
    """One trained head, immutable."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "pets",
                    "version": 3,
                    "method": "nmtune",
                    "n_columns": 768,
                    "classes": ["cat", "dog"],
                    "n_parameters": 4722434,
                    "config": {"preset": "paper", "epochs": 30, "seed": 0},
                    "metrics": {"test": {"accuracy": 0.97, "macro_f1": 0.97}},
                    "encoder": None,
                    "aliases": ["prod"],
                    "job_id": "job_31k8ds2m0v4xq9rt6wy5zbnc7e",
                    "dataset_id": "ds_31k8drzh5p2gk7m4t9x3wvq6ab",
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "size_bytes": 18892264,
                    "created_at": "2026-11-24T03:22:10.511000Z",
                }
            ]
        }
    )

    name: str
    version: int
    method: str
    n_columns: int = Field(description="The width of the embeddings it takes.")
    classes: list[str] = Field(description="In the order of the probabilities.")
    n_parameters: int
    config: dict[str, Any]
    metrics: dict[str, Any]
    encoder: dict[str, Any] | None = Field(
        description="What embedded the texts that it learnt from, with its fingerprint; null "
        "where it learnt from embeddings."
    )
    aliases: list[str]
    job_id: str
    dataset_id: str
    sha256: str
    size_bytes: int
    created_at: datetime

    @classmethod
    def of(cls, record: HeadVersionRecord) -> "HeadVersion":
        """The stored version as the API shows it."""
        return cls(
            name=record.name,
            version=record.version,
            method=record.method,
            n_columns=record.n_columns,
            classes=list(record.classes),
            n_parameters=record.n_parameters,
            config=record.config,
            metrics=record.metrics,
            encoder=_shown(record.encoder),
            aliases=list(record.aliases),
            job_id=record.job_id,
            dataset_id=record.dataset_id,
            sha256=record.sha256,
            size_bytes=record.size_bytes,
            created_at=record.created_at,
        )


def _shown(encoder: dict[str, Any] | None) -> dict[str, Any] | None:
    """The encoder without the numbers by which it is recognised."""
    if encoder is None:
        return None
    return {name: value for name, value in encoder.items() if name != "sketch"}


class Head(BaseModel):
    """A head's name with its versions."""

    name: str
    latest_version: int
    aliases: dict[str, int] = Field(description="The version that each alias names.")
    versions: list[HeadVersion] = Field(description="Newest first.")
    created_at: datetime

    @classmethod
    def of(cls, record: HeadRecord) -> "Head":
        """The stored head as the API shows it."""
        return cls(
            name=record.name,
            latest_version=record.latest_version,
            aliases=record.aliases,
            versions=[HeadVersion.of(version) for version in record.versions],
            created_at=record.created_at,
        )


class HeadPage(BaseModel):
    """Heads, newest first."""

    items: list[Head]
    next_cursor: str | None = Field(description="Pass it as cursor for the next page.")


class HeadQuery(BaseModel):
    """Which heads to list."""

    model_config = ConfigDict(extra="forbid")

    cursor: Cursor = None
    limit: Limit = 50


class AliasUpdate(BaseModel):
    """Where an alias shall point."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": 3}]})

    version: int = Field(ge=1, le=MAX_VERSION, strict=True)

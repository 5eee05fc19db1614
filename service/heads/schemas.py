"""JSON shapes of heads, with one example each."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.http.fields import MAX_VERSION, Cursor, Limit
from store.aliases import Alias as AliasRecord
from store.heads import Head as HeadRecord
from store.heads import HeadVersion as HeadVersionRecord


class Machine(BaseModel):
    """What a head was trained on."""

    model_config = ConfigDict(extra="allow")

    worker: str | None = None
    platform: str | None = None
    python_version: str | None = None
    torch_version: str | None = None
    device: str | None = None
    device_name: str | None = None
    n_threads: int | None = None


class Lineage(BaseModel):
    """What a head version was made from and with; null where an older version did not record it."""

    job_id: str
    dataset_id: str
    dataset_sha256: str | None = Field(
        description="The sha256 of the data as stored; it outlives the dataset."
    )
    encoder: str | None = Field(description="The fingerprint of the model behind the embeddings.")
    seed: int | None
    nmtune_version: str | None = Field(description="The version of the code that trained it.")
    machine: Machine

    @classmethod
    def of(cls, record: HeadVersionRecord) -> "Lineage":
        """The stored lineage as the API shows it."""
        known = record.lineage
        return cls(
            job_id=record.job_id,
            dataset_id=record.dataset_id,
            dataset_sha256=record.dataset_sha256,
            encoder=known.get("encoder"),
            seed=known.get("seed"),
            nmtune_version=known.get("nmtune_version"),
            machine=Machine(**known.get("machine", {})),
        )


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
                    "description": "with the labels of May",
                    "tags": {"ticket": "ML-12"},
                    "job_id": "job_31k8ds2m0v4xq9rt6wy5zbnc7e",
                    "dataset_id": "ds_31k8drzh5p2gk7m4t9x3wvq6ab",
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "size_bytes": 18892264,
                    "lineage": {
                        "job_id": "job_31k8ds2m0v4xq9rt6wy5zbnc7e",
                        "dataset_id": "ds_31k8drzh5p2gk7m4t9x3wvq6ab",
                        "dataset_sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0"
                        "f98a5e886266e7ae",
                        "encoder": None,
                        "seed": 0,
                        "nmtune_version": "0.1.0",
                        "machine": {
                            "worker": "gpu-1:17:0",
                            "platform": "Linux-6.1-x86_64",
                            "python_version": "3.11.2",
                            "torch_version": "2.11.0",
                            "device": "cpu",
                            "device_name": "",
                            "n_threads": 2,
                        },
                    },
                    "created_at": "2026-11-24T03:22:10.511000Z",
                }
            ]
        }
    )

    name: str
    version: int
    method: str
    n_columns: int = Field(description="The width of the embeddings that it takes.")
    classes: list[str] = Field(description="In the order of the probabilities.")
    n_parameters: int
    config: dict[str, Any]
    metrics: dict[str, Any]
    encoder: dict[str, Any] | None = Field(
        description="What embedded its training texts, with a fingerprint; null if it was trained "
        "on embeddings."
    )
    aliases: list[str]
    description: str | None = Field(description="A note for people, as tags are.")
    tags: dict[str, str]
    job_id: str
    dataset_id: str
    sha256: str
    size_bytes: int
    lineage: Lineage
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
            description=record.description,
            tags=record.tags,
            job_id=record.job_id,
            dataset_id=record.dataset_id,
            sha256=record.sha256,
            size_bytes=record.size_bytes,
            lineage=Lineage.of(record),
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
    aliases: dict[str, int] = Field(description="The version that each alias points at.")
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


class AliasPlace(BaseModel):
    """A version that an alias named."""

    version: int
    set_at: datetime = Field(description="Since when it named it.")


class HeadAlias(BaseModel):
    """Where an alias points, and where it pointed before."""

    alias: str
    version: int = Field(description="The version that it names.")
    set_at: datetime = Field(description="Since when.")
    history: list[AliasPlace] = Field(
        description="The versions that it named before, the latest last; at most 20. A rollback "
        "goes back to the last that still exists."
    )

    @classmethod
    def of(cls, record: AliasRecord) -> "HeadAlias":
        """The stored alias as the API shows it."""
        return cls(
            alias=record.alias,
            version=record.version,
            set_at=record.set_at,
            history=[AliasPlace(**one) for one in record.history],
        )


class HeadAliases(BaseModel):
    """The aliases of a head, by name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {
                            "alias": "prod",
                            "version": 3,
                            "set_at": "2026-11-26T08:12:44.020000Z",
                            "history": [{"version": 2, "set_at": "2026-11-24T03:22:10.511000Z"}],
                        }
                    ]
                }
            ]
        }
    )

    items: list[HeadAlias]


class AliasUpdate(BaseModel):
    """Where an alias points from now on."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": 3}]})

    version: int = Field(ge=1, le=MAX_VERSION, strict=True)

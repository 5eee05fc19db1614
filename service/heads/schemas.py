"""JSON shapes of heads, with one example each."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.http.fields import MAX_VERSION, Cursor, Limit, Share
from store.registry.aliases import Alias as AliasRecord
from store.registry.heads import Head as HeadRecord
from store.registry.heads import HeadVersion as HeadVersionRecord


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


class HeldOutLoss(BaseModel):
    """A head as it is and adapted, on rows that the adaptation had not seen."""

    n_rows: int
    before: float = Field(description="Mean log loss of the head as it is, in nats.")
    after: float = Field(description="The same of the adapted head.")
    gain: float = Field(description="before minus after.")
    gain_interval: tuple[float, float] = Field(description="Its 95 % interval.")
    accuracy_before: float
    accuracy_after: float


class AdaptationRecord(BaseModel):
    """What a version was adapted to, by what, and what that was worth."""

    from_version: int
    n_rows: int
    dataset_id: str | None = Field(description="null if the rows came with the request.")
    split: str | None
    rows_sha256: str = Field(description="Of the embeddings and class numbers of the rows.")
    class_shares: dict[str, float] = Field(description="The share of each class in the rows.")
    strength: float | None = Field(
        description="Of the ridge of biases and temperature towards no change; null: no change."
    )
    layer_strength: float | None = Field(
        default=None,
        description="Of the ridge of a linear map of the embedding towards none; null: without.",
    )
    temperature: float = Field(description="What the logits are divided by in addition.")
    biases: dict[str, float] = Field(description="What is added to the scores of each class.")
    held_out: HeldOutLoss
    abstain_below: float | None = Field(description="The advice for abstain_below; null: none.")
    abstain_reason: str


class MigrationRecord(BaseModel):
    """How a version was taken to another encoder, and what that cost."""

    model_config = ConfigDict(extra="allow")

    from_version: int
    way: Literal["refit", "bridge"] = Field(
        description="refit: the training's texts were embedded anew and the head trained anew; "
        "bridge: texts that both encoders have embedded carried it over."
    )
    made_by: Literal["map", "refit"] | None = Field(
        default=None,
        description="Of a bridge: whether the old head was kept behind a map, or one trained on "
        "the bridge's labels, which had the lower log loss on held-out texts.",
    )
    map: dict[str, Any] | None = Field(
        default=None, description="The strength of its ridge, and n_pairs."
    )
    agreement: dict[str, Any] | None = Field(
        default=None,
        description="The share of held-out texts for which old and moved head choose the same "
        "class, its 95 % interval, n_rows.",
    )
    trial: dict[str, Any] | None = Field(
        default=None,
        description="Of a bridge with labels: loss_moved and loss_refitted on held-out texts, "
        "their difference (gain) with its 95 % interval, and the accuracies.",
    )


class Lineage(BaseModel):
    """What a head version was made from and with; null where an older version did not record it."""

    job_id: str
    dataset_id: str
    dataset_sha256: str | None = Field(
        description="The sha256 of the data as stored; it outlives the dataset."
    )
    job_method: str | None = Field(
        description="What its job published by itself; another than method if this version is a "
        "further candidate of the job."
    )
    class_shares: dict[str, float] | None = Field(
        description="The share of each class in the rows that its probabilities hold for: the "
        "training rows, or those that it was adapted to."
    )
    encoder: str | None = Field(description="The fingerprint of the model behind the embeddings.")
    seed: int | None
    nmtune_version: str | None = Field(description="The version of the code that trained it.")
    machine: Machine
    adapted_from: int | None = Field(
        default=None,
        description="The version of this head that it was adapted from; null if it was trained. "
        "Job, dataset, seed and machine are then of the training behind it.",
    )
    adaptation: AdaptationRecord | None = None
    migrated_from: int | None = Field(
        default=None,
        description="The version of this head that it replaces with another encoder; null if none.",
    )
    migration: MigrationRecord | None = None

    @classmethod
    def of(cls, record: HeadVersionRecord) -> "Lineage":
        """The stored lineage as the API shows it."""
        known = record.lineage
        return cls(
            job_id=record.job_id,
            dataset_id=record.dataset_id,
            dataset_sha256=record.dataset_sha256,
            job_method=known.get("job_method"),
            class_shares=known.get("class_shares"),
            encoder=known.get("encoder"),
            seed=known.get("seed"),
            nmtune_version=known.get("nmtune_version"),
            machine=Machine(**known.get("machine", {})),
            adapted_from=record.adapted_from,
            adaptation=known.get("adaptation"),
            migrated_from=record.migrated_from,
            migration=known.get("migration"),
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
                        "job_method": "auto",
                        "class_shares": {"cat": 0.5, "dog": 0.5},
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
    class_shares: dict[str, float] | None = Field(
        default=None,
        description="What predictions by the alias are corrected to, unless a request names other "
        "shares; null: nothing.",
    )

    @classmethod
    def of(cls, record: AliasRecord) -> "HeadAlias":
        """The stored alias as the API shows it."""
        return cls(
            alias=record.alias,
            version=record.version,
            set_at=record.set_at,
            history=[AliasPlace(**one) for one in record.history],
            class_shares=record.class_shares,
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
                            "class_shares": {"cat": 0.3, "dog": 0.7},
                        }
                    ]
                }
            ]
        }
    )

    items: list[HeadAlias]


class AliasUpdate(BaseModel):
    """Where an alias points from now on, and for which class shares it answers."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"version": 3, "class_shares": {"cat": 0.3, "dog": 0.7}}, {"version": 3}]
        },
    )

    version: int = Field(ge=1, le=MAX_VERSION, strict=True)
    class_shares: dict[str, Share] | None = Field(
        default=None,
        description="The share of each class in use, as at POST /predict: predictions by this "
        "alias are corrected to it unless a request names other shares. null removes it; left out, "
        "the alias keeps what it has.",
    )

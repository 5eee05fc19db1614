"""JSON shapes of datasets, with one example each."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from service.http.fields import Cursor, Limit, Name
from service.http.rows import Embeddings, Labels, MergeSimilar, Splits
from service.http.validation import ID_PATTERN
from service.providers.schemas import Texts
from service.settings import MAX_KEEP_SECONDS
from store.datasets import Dataset as DatasetRecord

KeepSeconds = Annotated[int, Field(ge=1, le=int(MAX_KEEP_SECONDS))]
"""How long something is kept, from now."""


class RowsCreate(BaseModel):
    """Labelled embeddings, or texts, sent as JSON."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"embeddings": [[0.8, 0.1, 0.3], [0.2, 0.9, 0.2]], "labels": ["cat", "dog"]}
            ]
        },
    )

    embeddings: Embeddings = None
    texts: Texts = None
    labels: Labels
    splits: Splits = None


class DatasetCreate(RowsCreate):
    """Labelled embeddings, or texts to be embedded by jobs, sent as JSON."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "pets",
                    "embeddings": [
                        [0.9, 0.1, 0.2],
                        [0.8, 0.2, 0.1],
                        [0.7, 0.3, 0.2],
                        [0.1, 0.9, 0.3],
                        [0.2, 0.8, 0.1],
                        [0.3, 0.7, 0.3],
                    ],
                    "labels": ["cat", "cat", "cat", "dog", "dog", "dog"],
                    "splits": ["train", "train", "test", "train", "train", "test"],
                }
            ]
        },
    )

    name: Name | None = Field(
        default=None, description="The name of the dataset; by default dataset."
    )
    merge_similar: MergeSimilar = False


class DatasetPatch(BaseModel):
    """The one thing about a dataset that can change: how long it is kept."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"keep_seconds": 604800}]}
    )

    keep_seconds: KeepSeconds | None = Field(
        description="After how many seconds from now the dataset expires; null: never."
    )


class Split(BaseModel):
    """One part of a dataset."""

    name: str = Field(description="train, validation, test or ood/<domain>.")
    n_rows: int
    class_counts: dict[str, int] = Field(
        description="Rows of each class, in the order of the classes."
    )


class DatasetWarning(BaseModel):
    """Something that could spoil a result, and what to do about it."""

    code: str
    message: str
    split: str | None = None


class Lineage(BaseModel):
    """What was changed to make a dataset of its parent."""

    parent_sha256: str = Field(description="The bytes of the parent.")
    n_relabelled: int = Field(description="Rows that have another label.")
    n_dropped: int = Field(description="Rows that were left out.")
    n_added: int = Field(description="Rows that were added.")
    note: str | None


class Dataset(BaseModel):
    """Immutable embeddings with labels, in named splits."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "ds_31k8drzh5p2gk7m4t9x3wvq6ab",
                    "name": "pets",
                    "n_rows": 6,
                    "n_columns": 3,
                    "content": "embeddings",
                    "classes": ["cat", "dog"],
                    "splits": [
                        {"name": "train", "n_rows": 4, "class_counts": {"cat": 2, "dog": 2}},
                        {"name": "test", "n_rows": 2, "class_counts": {"cat": 1, "dog": 1}},
                    ],
                    "profile": {
                        "splits": {
                            "train": {
                                "n_rows": 4,
                                "n_classes_missing": 0,
                                "classes_missing": [],
                                "norms": {"min": 0.83, "mean": 0.91, "max": 0.95},
                                "n_zero_rows": 0,
                                "n_rows_also_in_train": None,
                            }
                        },
                        "n_duplicate_train_rows": 0,
                        "n_conflicting_train_rows": 0,
                        "n_constant_columns": 0,
                        "constant_columns": [],
                        "imbalance_ratio": 1.0,
                        "effective_rank": 2.4,
                    },
                    "warnings": [
                        {
                            "code": "no_ood_split",
                            "message": "There is no out-of-domain split, so the report cannot say "
                            "what the tuning does on data from elsewhere. Add labelled rows from "
                            "another source as 'ood/<source>'.",
                        }
                    ],
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "size_bytes": 480,
                    "created_at": "2026-11-24T03:21:46.157000Z",
                    "expires_at": None,
                    "parent_id": None,
                    "lineage": None,
                }
            ]
        }
    )

    id: str
    name: str
    n_rows: int
    n_columns: int = Field(description="The width of the embeddings; 0 for texts.")
    content: str = Field(description="embeddings, or texts that a job's provider embeds.")
    classes: list[str] = Field(description="In the order of the class indices.")
    splits: list[Split]
    profile: dict[str, Any] = Field(
        description="Per split: rows, missing classes, lengths of the rows, zero rows, and rows "
        "that are also in train. For train: repeated rows, rows with contradicting labels, "
        "constant columns, the largest class over the smallest, and the effective rank (the "
        "exponential of the spectrum's entropy) of at most 1,024 rows, their mean subtracted."
    )
    warnings: list[DatasetWarning]
    sha256: str
    size_bytes: int
    created_at: datetime
    expires_at: datetime | None = Field(
        description="When the dataset is deleted, row and bytes; null: never. Jobs that need it "
        "end first."
    )
    parent_id: str | None = Field(
        description="The dataset that this one was made from, by corrections or added rows; null "
        "for an upload. It may be deleted by now."
    )
    lineage: Lineage | None = Field(description="How it was made from that dataset.")

    @classmethod
    def of(cls, record: DatasetRecord) -> "Dataset":
        """The stored dataset as the API shows it."""
        return cls(
            id=record.id,
            name=record.name,
            n_rows=record.n_rows,
            n_columns=record.n_columns,
            content=record.content,
            classes=record.classes,
            splits=[
                Split(
                    name=split["name"],
                    n_rows=split["n_rows"],
                    class_counts=dict(zip(record.classes, split["class_counts"], strict=True)),
                )
                for split in record.splits
            ],
            profile=record.profile,
            warnings=[DatasetWarning(**warning) for warning in record.warnings],
            sha256=record.sha256,
            size_bytes=record.size_bytes,
            created_at=record.created_at,
            expires_at=record.expires_at,
            parent_id=record.parent_id,
            lineage=None if record.lineage is None else Lineage(**record.lineage),
        )


class DatasetPage(BaseModel):
    """Datasets, newest first."""

    items: list[Dataset]
    next_cursor: str | None = Field(description="Pass it as cursor for the next page.")


class DatasetQuery(BaseModel):
    """Which datasets to list."""

    model_config = ConfigDict(extra="forbid")

    parent_id: str | None = Field(
        default=None,
        pattern=ID_PATTERN,
        description="Only those that were made from this dataset.",
        examples=["ds_31k8drzh5p2gk7m4t9x3wvq6ab"],
    )
    cursor: Cursor = None
    limit: Limit = 50

"""The home of the JSON shape of a plan: what a job would do."""

from pydantic import BaseModel, ConfigDict, Field

from service.datasets.schemas import DatasetWarning, Split


class PlannedCandidate(BaseModel):
    """One head that would be trained."""

    name: str
    n_steps: int | None = Field(
        description="The most gradient steps; null where the head is solved, not stepped."
    )


class PlannedEmbedding(BaseModel):
    """What embedding the texts would take, by estimate; a text is embedded once."""

    n_texts: int
    n_different: int
    n_known: int = Field(description="Of the different ones: embedded before by this encoder.")
    n_requests: int = Field(description="At the provider's documented limits.")
    n_tokens: int = Field(description="Estimated at three bytes a token, rather too many.")
    cost: float | None = Field(
        description="In the currency of provider.price_per_million_tokens; null without it."
    )


class Plan(BaseModel):
    """What a job would do, were it submitted."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "dataset_id": None,
                    "method": "linear_probe",
                    "n_rows": 6,
                    "n_columns": 3,
                    "classes": ["cat", "dog"],
                    "splits": [
                        {"name": "train", "n_rows": 4, "class_counts": {"cat": 2, "dog": 2}},
                        {"name": "test", "n_rows": 2, "class_counts": {"cat": 1, "dog": 1}},
                    ],
                    "candidates": [{"name": "linear_probe", "n_steps": None}],
                    "embedding": None,
                    "memory_bytes": 503316480,
                    "seconds": 4.5,
                    "n_jobs_measured": 3,
                    "warnings": [],
                }
            ]
        }
    )

    dataset_id: str | None = Field(description="The stored dataset; null for rows sent along.")
    method: str
    n_rows: int
    n_columns: int | None = Field(
        description="The width of the embeddings; null for texts whose provider does not say it."
    )
    classes: list[str]
    splits: list[Split]
    candidates: list[PlannedCandidate] = Field(
        description="In the order of training; robust_probe only if many labels look wrong."
    )
    embedding: PlannedEmbedding | None = Field(description="Null where the rows are no texts.")
    memory_bytes: int | None = Field(
        description="The most that the training will hold, roughly; null without n_columns."
    )
    seconds: float | None = Field(
        description="How long it would train, by the pace of earlier jobs of this method; null "
        "while there is none, and without n_columns. Waiting for a worker, and for a provider's "
        "embeddings, comes on top."
    )
    n_jobs_measured: int = Field(description="The earlier jobs that seconds is made from.")
    warnings: list[DatasetWarning]

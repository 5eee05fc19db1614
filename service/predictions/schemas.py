"""JSON shapes of predictions of a whole dataset."""

from typing import Literal

from pydantic import ConfigDict, Field

from service.http.fields import MAX_REFERENCE_CHARACTERS
from service.http.validation import ID_PATTERN
from service.predict.options import PredictionOptions

OutputFormat = Literal["parquet", "csv", "jsonl"]


class PredictionCreate(PredictionOptions):
    """A stored dataset to predict as a job, and what its output file holds."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "head": "pets@prod",
                    "dataset_id": "ds_31k8drzh5p2gk7m4t9x3wvq6ab",
                    "format": "parquet",
                    "top_k": 3,
                }
            ]
        },
    )

    head: str = Field(
        max_length=MAX_REFERENCE_CHARACTERS,
        description="Which head. The version that it names now answers all rows, even if an alias "
        "moves later.",
        examples=["pets@prod"],
    )
    dataset_id: str = Field(
        pattern=ID_PATTERN,
        description="The rows: a dataset stored with unlabelled=true, or one with labels, which "
        "are not used but stand beside the predictions as true_label.",
        examples=["ds_31k8drzh5p2gk7m4t9x3wvq6ab"],
    )
    format: OutputFormat = Field(default="parquet", description="The format of the output file.")
    queue: Literal["cpu", "gpu"] | None = Field(
        default=None, description="Which workers do it; by default the service's choice."
    )
    priority: int = Field(
        default=0, ge=-100, le=100, description="Jobs of a higher priority are taken first."
    )

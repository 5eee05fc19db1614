"""The home of the JSON shape of what a prediction of a whole dataset wrote."""

from pydantic import BaseModel, Field


class JobOutput(BaseModel):
    """The file that a prediction wrote; GET /jobs/{id}/output has its bytes."""

    format: str = Field(description="parquet, csv or jsonl.")
    n_rows: int
    size_bytes: int
    sha256: str
    conformal_level: float | None = Field(default=None, description="Of the sets in it.")
    ood_threshold: float | None = Field(default=None, description="What is_ood went by.")

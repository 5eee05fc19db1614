"""What GET /usage says: counts of the month, what there is, and what holds."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Use(BaseModel):
    """How much is used of a limit."""

    used: int
    limit: int | None = Field(description="null: as much as there is.")


class Monthly(BaseModel):
    """What was used this month, by all processes."""

    predicted_rows: Use
    embedded_tokens: Use
    training_seconds: Use = Field(description="Of all attempts, each rounded up; has no limit.")


class Stock(BaseModel):
    """What the tenant has now."""

    stored_bytes: Use = Field(
        description="Datasets, versions of heads, outputs, further files of jobs, and uploads with "
        "the size that they announced."
    )
    unfinished_jobs: Use = Field(description="Queued and running jobs.")
    heads: Use = Field(
        description="Names of heads, those that unfinished trainings will publish included."
    )


class Rate(BaseModel):
    """How often a key may ask."""

    name: Literal["predict", "read", "write", "upload"]
    unit: Literal["rows", "requests"]
    per_second: float
    burst: int = Field(description="How many at once after a pause.")


class Usage(BaseModel):
    """What a tenant uses, and what it may use."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "tenant_id": "default",
                    "month": "2026-12",
                    "resets_at": "2027-01-01T00:00:00Z",
                    "monthly": {
                        "predicted_rows": {"used": 125_000, "limit": 1_000_000},
                        "embedded_tokens": {"used": 0, "limit": None},
                        "training_seconds": {"used": 412, "limit": None},
                    },
                    "stock": {
                        "stored_bytes": {"used": 73_400_320, "limit": 53_687_091_200},
                        "unfinished_jobs": {"used": 1, "limit": 20},
                        "heads": {"used": 3, "limit": None},
                    },
                    "rates": [
                        {"name": "read", "unit": "requests", "per_second": 100.0, "burst": 1000}
                    ],
                }
            ]
        }
    )

    tenant_id: str
    month: str = Field(description="In UTC.")
    resets_at: datetime = Field(description="When the next month begins.")
    monthly: Monthly
    stock: Stock
    rates: list[Rate] = Field(description="Of each key; what is not listed has no limit.")

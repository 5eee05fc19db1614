"""Predict a whole file: the fields of the job, and where its output goes; no I/O."""

from collections.abc import Mapping
from dataclasses import asdict
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from nmtune_client._jobs.values import JobData
from nmtune_client._predict.options import HeadLike, Options

FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".jsonl": "jsonl"}
"""By the ending of a file's name."""

ROWS_KEPT_SECONDS = 86_400
"""Rows that are only predicted expire after this, in case their sender ends before deleting them. A
job that waits or runs keeps them longer."""


def fields(
    dataset_id: str,
    *,
    head: HeadLike,
    form: str | None,
    options: Options,
    queue: str | None,
    priority: int | None,
) -> Mapping[str, Any]:
    """The fields of a prediction; those that are None are left to the server."""
    return {
        "head": str(head),
        "dataset_id": dataset_id,
        "format": form,
        "queue": queue,
        "priority": priority,
        **asdict(options),
    }


def format_of(to: str | PathLike[str], form: str | None) -> str:
    """The format that was said, or that the name of the file says; ValueError if neither does."""
    if form is not None:
        return form
    suffix = Path(fspath(to)).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"{fspath(to)} shows no format: end it with .parquet, .csv or .jsonl")
    return FORMATS[suffix]


def target(data: JobData, path: str | PathLike[str] | None) -> Path:
    """The file that a job's output goes to."""
    form = (data.output or {}).get("format") or data.config.get("format", "parquet")
    return Path(fspath(path or f"{data.name}-{data.id}.{form}"))

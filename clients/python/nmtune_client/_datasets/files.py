"""Dataset files: their media type, and how the server is to read their columns."""

import csv
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from nmtune_client._datasets.arrays import embeddings_array

_MEDIA_TYPES = {
    ".npz": "application/x-npz",
    ".parquet": "application/vnd.apache.parquet",
    ".pq": "application/vnd.apache.parquet",
    ".csv": "text/csv",
    ".tsv": "text/csv",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".json": "application/x-ndjson",
    ".safetensors": "application/vnd.safetensors",
}
_PACKED = {".gz", ".gzip", ".zst", ".zstd"}
_UNKNOWN = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Which columns of a table mean what, and which splits to make; None: the server's default."""

    embedding: str | None = None
    text: str | None = None
    label: str | None = None
    split: str | None = None
    domain: str | None = None
    group: str | None = None
    ood_domains: Sequence[str] | None = None
    test_fraction: float | None = None
    split_seed: int | None = None
    merge_similar: bool | None = None
    id: str | None = None
    unlabelled: bool | None = None
    """True: the rows are to be predicted, and need no labels."""

    def params(self) -> dict[str, str]:
        """The same as query parameters; no domains is the word none."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        if self.ood_domains is not None:
            domains = self.ood_domains
            listed = [domains] if isinstance(domains, str) else list(domains)
            given["ood_domains"] = ",".join(map(_quoted, listed)) or "none"
        for name in ("unlabelled", "merge_similar"):
            if given.get(name):
                given[name] = "true"
        return {name: str(value) for name, value in given.items()}


def names_in(text: str) -> list[str]:
    """The names of a list with commas, in double quotes where a name has one."""
    rows = csv.reader([text], skipinitialspace=True, strict=True)
    try:
        return [name.strip() for row in rows for name in row if name.strip()]
    except csv.Error as error:
        raise ValueError(f"{text!r} is not a comma-separated list: {error}") from None


def _quoted(domain: str) -> str:
    """A name in a list with commas: in double quotes, doubled within, where it has one itself."""
    plain = not any(character in domain for character in ',"')
    return domain if plain else '"' + domain.replace('"', '""') + '"'


def media_type(path: Path, *, unlabelled: bool = False) -> str:
    """The media type by the suffix; without one the server looks at the first bytes."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    if kind == ".npy" and unlabelled:
        return "application/x-npy"
    if kind == ".npy":
        raise ValueError(
            f"{path} holds embeddings without labels: load it with numpy.load and pass "
            "embeddings= and labels= to jobs.create, or upload a file that holds both"
        )
    return _MEDIA_TYPES.get(kind, _UNKNOWN)


def write_rows(source: Any, folder: Path, *, unlabelled: bool) -> Path | None:
    """A table or, of what is to be predicted, rows as a file in `folder`; None for a path.

    ValueError for what cannot be written.
    """
    if isinstance(source, str | PathLike):
        return None
    if is_frame(source):
        try:
            return write_frame(source, folder)
        except (ValueError, TypeError) as error:  # of pyarrow: a column of mixed objects
            raise ValueError(f"the {type(source).__name__} cannot be sent: {error}") from error
    if not unlabelled:
        return None
    path = folder / "rows.npy"
    np.save(path, embeddings_array(source), allow_pickle=False)
    return path


def is_frame(source: object) -> bool:
    """Whether it is a table of pandas, polars, pyarrow or Hugging Face's datasets."""
    if hasattr(source, "to_parquet") or hasattr(source, "write_parquet"):
        return True
    return bool(_libraries(source) & {"polars", "pyarrow"}) and (
        hasattr(source, "collect") or hasattr(source, "column_names")
    )


def write_frame(frame: Any, folder: Path) -> Path:
    """The table as a file in `folder`: Parquet, or JSON Lines if pandas cannot write that."""
    path = folder / "dataset.parquet"
    libraries = _libraries(frame)
    if "polars" in libraries:
        frame = frame.collect() if hasattr(frame, "collect") else frame
        frame.write_parquet(path)
    elif "pyarrow" in libraries:
        # by name: a table of pyarrow comes with pyarrow
        importlib.import_module("pyarrow.parquet").write_table(_whole_table(frame), path)
    elif "pandas" in libraries:
        frame = _with_plain_vectors(frame)
        try:
            frame.to_parquet(path, index=False)
        except ImportError:
            path = folder / "dataset.jsonl"
            frame.to_json(path, orient="records", lines=True, double_precision=15)
    else:
        frame.to_parquet(path)
    return path


def _libraries(source: object) -> set[str]:
    return {one.__module__.partition(".")[0] for one in type(source).__mro__}


def _whole_table(table: Any) -> Any:
    """A pyarrow table out of a table, or a batch of one."""
    is_batch = not hasattr(table, "combine_chunks")
    return importlib.import_module("pyarrow").Table.from_batches([table]) if is_batch else table


def _with_plain_vectors(frame: Any) -> Any:
    """A DataFrame of pandas whose columns of tensors, which Parquet does not know, are lists."""
    plain = {}
    for name, column in frame.items():
        if len(column) and hasattr(column.iloc[0], "detach"):
            plain[name] = embeddings_array(column, name=str(name)).tolist()
    return frame.assign(**plain) if plain else frame

"""Home of what a dataset file is sent as: its media type, and how the server is to read it."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        raise ValueError(f"{text!r} is no list with commas: {error}") from None


def _quoted(domain: str) -> str:
    """A name in a list with commas: in double quotes, doubled within, where it has one itself."""
    plain = not any(character in domain for character in ',"')
    return domain if plain else '"' + domain.replace('"', '""') + '"'


def media_type(path: Path, *, unlabelled: bool = False) -> str:
    """By the suffix; the server looks at the first bytes of what has none."""
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


def is_frame(source: object) -> bool:
    """Whether it is a DataFrame of pandas or polars, told by its methods."""
    return hasattr(source, "to_parquet") or hasattr(source, "write_parquet")


def write_frame(frame: Any, folder: Path) -> Path:
    """The DataFrame as a file in `folder`: Parquet, or JSON Lines if pandas has no writer of it."""
    path = folder / "dataset.parquet"
    if hasattr(frame, "write_parquet"):
        frame.write_parquet(path)
        return path
    try:
        frame.to_parquet(path, index=False)
    except ImportError:
        path = folder / "dataset.jsonl"
        frame.to_json(path, orient="records", lines=True, double_precision=15)
    return path

"""Tell the formats of dataset files apart before reading them.

The file name decides, else the Content-Type; the first bytes must then agree. Formats that can run
code or crash their reader (pickles, Arrow IPC) are refused by their first bytes, whatever the name.
"""

import re
from dataclasses import dataclass
from typing import IO, Final, Literal

from service.ingest.errors import FIELD, BadInput

Kind = Literal["npz", "npy", "safetensors", "parquet", "csv", "jsonl"]
Compression = Literal["gzip", "zstd"]


NPZ_TYPES: Final = (
    "application/x-npz",
    "application/zip",
    "application/x-zip-compressed",
)
MEDIA_TYPES: Final[dict[str, Kind]] = {
    **dict.fromkeys(NPZ_TYPES, "npz"),
    "application/x-npy": "npy",
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/x-jsonlines": "jsonl",
    "application/vnd.safetensors": "safetensors",
    "application/x-safetensors": "safetensors",
}
OCTETS: Final = "application/octet-stream"
"""Says nothing about the format: the first bytes decide, and text is taken for JSON or CSV."""

_SUFFIXES: Final[dict[str, Kind]] = {
    "npz": "npz",
    "npy": "npy",
    "safetensors": "safetensors",
    "parquet": "parquet",
    "pq": "parquet",
    "csv": "csv",
    "tsv": "csv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "jsonl",
}
_NAMES: Final = {"jsonl": "JSON: name it .json, or send it as application/x-ndjson"}
_PACKED_SUFFIXES: Final = {"gz", "gzip", "zst", "zstd"}
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_MAGIC: Final[dict[bytes, Kind]] = {b"PK": "npz", b"\x93NUMPY": "npy", b"PAR1": "parquet"}
_REFUSED: Final[dict[bytes, str]] = {
    b"\x80\x02": "a pickle, which is never opened",
    b"\x80\x03": "a pickle, which is never opened",
    b"\x80\x04": "a pickle, which is never opened",
    b"\x80\x05": "a pickle, which is never opened",
    b"ARROW1": "Arrow IPC (Feather), which cannot be read safely: write Parquet",
    b"\xff\xff\xff\xff": "an Arrow IPC stream, which cannot be read safely: write Parquet",
    b"\x89HDF": "HDF5: write Parquet or .npz",
    b"SQLite format 3": "an SQLite database: write Parquet or CSV",
    b"BZh": "compressed with bzip2: use gzip or zstd",
    b"\xfd7zXZ": "compressed with xz: use gzip or zstd",
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
}
_JSON: Final = re.compile(rb"(\xef\xbb\xbf)?\s*[\[{]")
_START_BYTES: Final = 16
_SAFETENSORS_HEADER: Final = 8
_MAX_HEADER_BYTES: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Format:
    """The kind of a file, and its compression, if any."""

    kind: Kind
    compression: Compression | None = None


def detect(
    file: IO[bytes], *, content_type: str, file_name: str | None, content_encoding: str = ""
) -> Format:
    """The format of the seekable `file`, left at its start; raises BadInput where none fits."""
    start = file.read(_START_BYTES)
    size = file.seek(0, 2)
    file.seek(0)
    compression: Compression | None = (
        "gzip" if start.startswith(_GZIP) else "zstd" if start.startswith(_ZSTD) else None
    )
    said = _by_name(file_name) or MEDIA_TYPES.get(content_type)
    _refuse(start)
    if compression:
        return Format(kind=_packed_kind(said, compression), compression=compression)
    if content_encoding not in ("", "identity"):
        raise _bad(
            "content_encoding",
            f"The body is not compressed with {content_encoding[:20]!r}, as Content-Encoding says: "
            f"use "
            "gzip or zstd, or leave out the header.",
        )
    found = _by_bytes(start, size)
    if said is None:
        return Format(kind=found or _text_kind(start))
    if found is None and said == "csv" and _JSON.match(start):
        found = "jsonl"
    if found is not None and found != said:
        raise _bad(
            f"not_{said}",
            f"The file is named or sent as {said}, but its bytes are {_NAMES.get(found, found)}.",
        )
    return Format(kind=said)


def _by_name(file_name: str | None) -> Kind | None:
    parts = (file_name or "").lower().split(".")
    if len(parts) > 2 and parts[-1] in _PACKED_SUFFIXES:
        parts.pop()
    return _SUFFIXES.get(parts[-1]) if len(parts) > 1 else None


def _by_bytes(start: bytes, size: int) -> Kind | None:
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return kind
    length = int.from_bytes(start[:_SAFETENSORS_HEADER], "little")
    if start[_SAFETENSORS_HEADER:].startswith(b"{") and length < min(size, _MAX_HEADER_BYTES):
        return "safetensors"
    return None


def _text_kind(start: bytes) -> Kind:
    if not start:
        raise _bad("empty_file", "The file is empty.")
    if _JSON.match(start):
        return "jsonl"
    if not re.search(rb"[\0-\x08\x0e-\x1f]", start):
        return "csv"
    raise _bad(
        "unknown_format",
        "The format of the file is unknown: send .npz, .npy with labels, .safetensors, Parquet, "
        "CSV, JSON Lines or a JSON list of objects.",
    )


def _packed_kind(said: Kind | None, compression: Compression) -> Kind:
    if said is None:
        raise _bad(
            "unknown_format",
            f"The file is compressed with {compression}: name it .csv.gz, .jsonl.gz or .json.gz "
            f"(or "
            ".zst), or send it with the Content-Type text/csv or application/x-ndjson.",
        )
    if said not in ("csv", "jsonl"):
        raise _bad(
            f"not_{said}",
            f"The file is compressed with {compression}, which only CSV and JSON may be: "
            f"decompress it.",
        )
    return said


def _refuse(start: bytes) -> None:
    for magic, what in _REFUSED.items():
        if start.startswith(magic):
            raise _bad("refused_format", f"The file is {what}.")


def _bad(code: str, message: str) -> BadInput:
    return BadInput(code, message, field=FIELD, malformed=True)

"""Read what the command is given: files of embeddings, standard input, `key=value` settings."""

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_NPY_MAGIC = b"\x93NUMPY"
_ZIP_MAGIC = b"PK\x03\x04"
_PARQUET_MAGIC = b"PAR1"


_TABLES = (".parquet", ".pq", ".csv", ".tsv", ".jsonl", ".ndjson", ".safetensors")
_PACKED = (".gz", ".gzip", ".zst", ".zstd")


class TableError(ValueError):
    """The file is a table, which the server reads, not rows that this command reads itself."""


def embeddings(source: str) -> object:
    """Rows (n, d) out of FILE.npy, FILE.npz, FILE.npz:member, or `-` for standard input.

    A text (on standard input or in a file) holds one row a line, numbers separated by commas or
    spaces, or is a JSON list, or one a line. Raises TableError for a file with columns of names,
    and ValueError, which says what to do, for anything else.
    """
    if source == "-":
        return _rows(io.BytesIO(sys.stdin.buffer.read()), "standard input", member=None)
    path, member = _path_and_member(source)
    check_file(path)
    if path.suffix.lower() in _PACKED and Path(path.stem).suffix.lower() in _TABLES:
        raise TableError(f"{path} is a packed table")
    with path.open("rb") as file:
        try:
            return _rows(file, str(path), member=member)
        except TableError:
            raise
        except ValueError as error:
            if path.suffix.lower() in _TABLES:  # names of columns are no numbers
                raise TableError(f"{path} is a table") from error
            raise


def check_file(path: Path, *, holds: str = "numbers") -> None:
    """ValueError, one sentence, unless there is a file with something in it at `path`."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file in it")
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if is_empty:
        raise ValueError(f"{path} is empty: it holds no {holds}")


def _path_and_member(source: str) -> tuple[Path, str | None]:
    path = Path(source)
    if not path.exists() and ".npz:" in source:
        file, _, member = source.rpartition(":")
        return Path(file), member
    return path, None


def _rows(file: IO[bytes], source: str, *, member: str | None) -> object:
    """What `file`, called `source` in messages, holds, told by its first bytes."""
    magic = file.read(len(_NPY_MAGIC))
    file.seek(0)
    if magic.startswith(_PARQUET_MAGIC):
        raise TableError(f"{source} is a Parquet table")
    if magic.startswith(_ZIP_MAGIC):
        return _from_npz(file, source, member)
    if member is not None:
        raise ValueError(f"{source} is not an npz file, and has no member {member!r}")
    if magic == _NPY_MAGIC:
        try:
            array: NDArray[Any] = np.load(file, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{source} cannot be read as npy: {error}") from error
        return array
    try:
        text = file.read().decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{source} is neither npy, npz nor text") from None
    if text.lstrip().startswith("{"):
        raise TableError(f"{source} is a table of JSON objects")
    return _from_json(text, source) if text.lstrip().startswith("[") else _from_lines(text, source)


def _from_json(text: str, source: str) -> object:
    try:
        rows = json.loads(text)
    except ValueError as error:
        try:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise ValueError(f"{source} is not JSON: {error}") from error
    return rows if isinstance(rows[0] if rows else None, list) else [rows]


def _from_lines(text: str, source: str) -> list[list[float]]:
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        cells = line.replace(",", " ").split()
        try:
            row = [float(cell) for cell in cells]
        except ValueError as error:
            raise ValueError(f"{source}, line {number}: {error}") from error
        if row:
            rows.append(row)
    if not rows:
        raise ValueError(f"{source} holds no numbers")
    return rows


def _from_npz(file: IO[bytes], source: str, member: str | None) -> NDArray[Any]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            name = _member(archive.files, source) if member is None else member
            if name not in archive.files:
                raise ValueError(f"{source} has no member {name!r}, but {_list(archive.files)}")
            return np.asarray(archive[name])
    except zipfile.BadZipFile as error:
        raise ValueError(f"{source} cannot be read as npz: {error}") from error


def _member(names: list[str], source: str) -> str:
    """The one that holds embeddings, where there is no choice."""
    matrices = [name for name in names if not name.endswith(("_y", "class_names"))]
    if len(matrices) == 1:
        return matrices[0]
    example = matrices[0] if matrices and "test_x" not in matrices else "test_x"
    raise ValueError(f"{source} holds {_list(names)}; choose one, e.g. {source}:{example}")


def _list(names: list[str]) -> str:
    return ", ".join(names) if names else "nothing"


def tags(pairs: list[str]) -> dict[str, str]:
    """Tags out of `--tag name=value`."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ValueError(f"--tag {pair}: expected name=value, e.g. --tag ticket=ML-12")
        found[name] = value
    return found


def settings(pairs: list[str], preset: str | None) -> dict[str, Any]:
    """A job's config out of `--preset` and `--set key=value`; a value is JSON or else a string."""
    config: dict[str, Any] = {"preset": preset} if preset else {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ValueError(f"--set {pair}: expected key=value, e.g. --set epochs=10")
        try:
            config[key] = json.loads(value)
        except ValueError:
            config[key] = value
    return config

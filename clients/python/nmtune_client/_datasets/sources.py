"""What `datasets.upload` takes besides tables: checked arrays, and files with their names."""

import re
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from nmtune_client._datasets import arrays
from nmtune_client._datasets.files import Reading


def npz_arrays(source: object, reading: Reading) -> Mapping[str, NDArray[Any]] | None:
    """The checked arrays that a mapping is; None for any other source of a dataset."""
    if not isinstance(source, Mapping):
        return None
    if replace(reading, merge_similar=None).params():
        raise ValueError("columns and splits can be named for a table, not for arrays")
    return arrays.check_npz_arrays(source)


def file_of(source: object) -> Path:
    """The file that a dataset is in; FileNotFoundError if it is not there."""
    if not isinstance(source, str | PathLike):
        raise ValueError(f"a dataset is a path, a DataFrame or a mapping, not {type(source)}")
    path = Path(fspath(source))
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file in it")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty")
    return path


def name_of(path: Path) -> str | None:
    """A dataset name made of a file's: the characters that names lack become `-`."""
    stem = re.sub(r"\.(gz|gzip|zst|zstd)$", "", path.name, flags=re.IGNORECASE)
    stem = Path(stem).stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip("._-")[:64] or None

"""Decode a file in a process of its own, the only one that opens foreign formats.

The zygote forks it for a request, a JSON file that `sandbox.py` wrote. It ends with status 0 and
`decoded.json` in the folder, or with status 1 and `refused.json`, a BadInput.
"""

import ctypes
import os
import resource
import signal
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from service.ingest.errors import FIELD, BadInput

REFUSED: Final = "refused.json"
REFUSED_STATUS: Final = 1
FAILED_STATUS: Final = 70
"""A bug, or a lack of memory; the process's stderr says which."""
FULL_STATUS: Final = 28
"""The disk is full: the number of ENOSPC."""

_PR_SET_PDEATHSIG: Final = 1
_NICENESS: Final = 5


def run(path: Path, *, parent: int) -> int:
    """Decode the file that the request at `path` names, under its limits; returns the exit status.

    parent: the process that has just forked this one; this one ends with it.
    """
    request = orjson.loads(path.read_bytes())
    _die_with(parent)
    _limit(request["memory_bytes"], request["seconds"])
    folder = Path(request["folder"])
    try:
        decode(request, folder)
    except BadInput as error:
        _refuse(folder, error)
        return REFUSED_STATUS
    except MemoryError:  # pyarrow's is one too
        _refuse(folder, too_much_memory())
        return REFUSED_STATUS
    except RecursionError:
        _refuse(folder, BadInput("too_deep", "The file is nested too deeply.", field=FIELD))
        return REFUSED_STATUS
    except OSError as error:
        if error.errno == FULL_STATUS:
            return FULL_STATUS
        raise
    return 0


def too_much_memory() -> BadInput:
    """The error of a file that is too large when uncompressed, or whose rows are far too wide."""
    return BadInput(
        "too_large",
        "Reading the file takes more memory than a dataset needs: write it in smaller row groups "
        "or pages, or as .npz.",
        field=FIELD,
    )


def decode(request: Mapping[str, Any], folder: Path) -> None:
    """Spool the rows of the file that `request` names to `folder`; raises BadInput."""
    path, kind = Path(request["path"]), request["kind"]
    if kind == "encoder":
        from service.ingest.formats import encoder

        encoder.read(path, folder)
        return
    from service.ingest.names.columns import Wanted

    wanted = Wanted(**request["wanted"])
    max_bytes = request["max_bytes"]
    if kind == "parquet":
        from service.ingest.formats import parquet

        parquet.read(path, wanted=wanted, folder=folder, max_bytes=max_bytes)
        return
    if kind in ("npy", "safetensors"):
        from service.ingest.formats import array_file

        parts = {part: Path(given) for part, given in request["parts"].items()}
        read = array_file.read_npy if kind == "npy" else array_file.read_safetensors
        read(
            path,
            parts=parts,
            folder=folder,
            max_bytes=max_bytes,
            is_labelled=wanted.is_labelled,
        )
        return
    from service.ingest.formats import csv, jsonl
    from service.ingest.formats.unpacked import open_unpacked

    reader = {"csv": csv, "jsonl": jsonl}[kind]
    with open_unpacked(
        path, compression=request["compression"], max_bytes=request["max_text_bytes"]
    ) as source:
        try:
            reader.read(
                source, wanted=wanted, folder=folder, max_bytes=max_bytes, size=path.stat().st_size
            )
        except BadInput:
            source.check_sum()  # wrong values may be damage
            raise


def _refuse(folder: Path, error: BadInput) -> None:
    value = {
        "code": error.code,
        "malformed": error.malformed,
        "places": [asdict(place) for place in error.places],
        "count": error.count,
    }
    (folder / REFUSED).write_bytes(orjson.dumps(value))


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when the one that started it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(REFUSED_STATUS)


def _limit(memory_bytes: int, seconds: int) -> None:
    """Lower what this process may take; no core file, which would hold the user's data."""
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))

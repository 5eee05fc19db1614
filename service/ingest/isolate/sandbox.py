"""Limit the decoding process: its memory, its time, its environment, and how it ends."""

import os
import signal
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

from service.ingest.dataset.decoded import Decoded
from service.ingest.errors import FIELD, BadInput, Place
from service.ingest.formats.detect import Format
from service.ingest.isolate.decode import FULL_STATUS, REFUSED, REFUSED_STATUS, too_much_memory
from service.ingest.isolate.warm import TooSlow, Warm, command
from service.ingest.isolate.zygote import ERRORS
from service.ingest.names.columns import Wanted, as_json
from store.errors import StorageUnavailable

MEMORY_BYTES: Final = 640 << 20
"""How much a decoding process may allocate, its libraries included; it holds a few blocks."""

SECONDS: Final = 30
BYTES_PER_SECOND: Final = 2 << 20
"""A file may take SECONDS of processor time, plus one second for each of so many bytes, and as much
waiting again."""

TEXT_FACTOR: Final = 6
"""A number of 4 bytes has up to 24 characters as text."""

_ROOT: Final = Path(__file__).parents[3]
_KEPT_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SYSTEMROOT")


def decode(
    path: Path,
    found: Format,
    *,
    wanted: Wanted,
    workdir: Path,
    max_bytes: int,
    parts: Mapping[str, Path] | None = None,
    memory_bytes: int = MEMORY_BYTES,
    seconds: float | None = None,
) -> Decoded:
    """The rows of the file at `path`, read by a process of its own. Blocking; raises BadInput.

    `max_bytes` bounds the embeddings as they are stored. `workdir` holds what was decoded.
    `parts`: files with one value per row, by their meaning, beside an .npy or safetensors file.
    """
    folder = workdir.absolute() / "decoded"
    folder.mkdir()
    if seconds is None:
        seconds = SECONDS + path.stat().st_size / BYTES_PER_SECOND
    request = {
        "path": str(path.absolute()),
        "folder": str(folder),
        "kind": found.kind,
        "compression": found.compression,
        "wanted": as_json(wanted),
        "parts": {part: str(given.absolute()) for part, given in (parts or {}).items()},
        "max_bytes": max_bytes,
        "max_text_bytes": TEXT_FACTOR * max_bytes,
    }
    run(request, memory_bytes=memory_bytes, seconds=seconds)
    return Decoded.read(folder)


def run(request: Mapping[str, Any], *, memory_bytes: int, seconds: float) -> None:
    """Have a process of its own do what `request` says, a `kind` with its `folder` among it.

    Blocking; raises BadInput if the process refuses or its limits end it.
    """
    limits = {"memory_bytes": memory_bytes, "seconds": max(1, round(seconds))}
    folder = Path(request["folder"])
    request_path = folder.with_name("request.json")
    request_path.write_bytes(orjson.dumps({**request, **limits}))
    _run(request_path, folder, seconds=2 * seconds)


def _run(request: Path, folder: Path, *, seconds: float) -> None:
    try:
        status = _zygote().run(request, seconds=seconds)
    except TooSlow:
        raise _too_slow() from None
    if status == 0:
        return
    if status == REFUSED_STATUS and (folder / REFUSED).exists():
        raise _refusal((folder / REFUSED).read_bytes())
    if status == FULL_STATUS:
        raise StorageUnavailable(
            "There is no room for the upload: free disk space and send it again."
        )
    if status == -signal.SIGXCPU:
        raise _too_slow()
    if status in (-signal.SIGKILL, -signal.SIGABRT):
        # The kernel's answer to too much memory, and that of C++ if nobody catches bad_alloc.
        raise too_much_memory()
    if status < 0:  # a crash of the reader, which an honest file never causes
        raise BadInput(
            "damaged_file",
            "The file is damaged so badly that its reader crashed: write it again.",
            field=FIELD,
            malformed=True,
        )
    tail = _tail(request.with_name(ERRORS))
    if "MemoryError" in tail or "bad_alloc" in tail:
        raise too_much_memory()
    raise RuntimeError(f"the decoding process ended with status {status}: {tail}")


@cache
def _zygote() -> Warm:
    """The zygote of this server, started by the first request."""
    return Warm(command(), _environment(), folder=_ROOT)


def _tail(path: Path) -> str:
    return path.read_bytes()[-2000:].decode(errors="replace") if path.exists() else ""


def _environment() -> dict[str, str]:
    """No secret of the service, one thread, and an allocator that returns memory."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return kept | {
        "PYTHONPATH": str(_ROOT),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "ARROW_IO_THREADS": "1",
        "JE_ARROW_MALLOC_CONF": "background_thread:false",  # a thread that no fork would have
    }


def _refusal(content: bytes) -> BadInput:
    value = orjson.loads(content)
    first, *more = (Place(**place) for place in value["places"])
    return BadInput(
        value["code"],
        first.message,
        field=first.field,
        row=first.row,
        column=first.column,
        malformed=value["malformed"],
        more=tuple(more),
        count=value["count"],
    )


def _too_slow() -> BadInput:
    return BadInput(
        "too_slow",
        "Reading the file takes far longer than is usual for its size. Write it again, or as .npz.",
        field=FIELD,
        malformed=True,
    )

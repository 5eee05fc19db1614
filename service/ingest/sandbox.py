"""Home of the limits around the decoding process: memory, time, environment, and its end."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from service.ingest.columns import Wanted, as_json
from service.ingest.decode import FULL_STATUS, REFUSED, REFUSED_STATUS, too_much_memory
from service.ingest.decoded import Decoded
from service.ingest.errors import BadInput, Place
from service.ingest.formats import FIELD, Format
from store.errors import StorageUnavailable

MEMORY_BYTES: Final = 640 << 20
"""What a decoding process may allocate, its libraries' buffers included; it holds a few blocks."""

SECONDS: Final = 30
BYTES_PER_SECOND: Final = 2 << 20
"""A file may take SECONDS and one more for each of so many of its bytes, processor time and as much
waiting again."""

TEXT_FACTOR: Final = 6
"""A number of 4 bytes has up to 24 characters as text."""

_ROOT: Final = Path(__file__).parents[2]
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
    `parts`: files of values a row, by what they mean, beside a .npy or safetensors file.
    """
    folder = workdir / "decoded"
    folder.mkdir()
    if seconds is None:
        seconds = SECONDS + path.stat().st_size / BYTES_PER_SECOND
    request: dict[str, Any] = {
        "path": str(path),
        "folder": str(folder),
        "kind": found.kind,
        "compression": found.compression,
        "wanted": as_json(wanted),
        "parts": {part: str(given) for part, given in (parts or {}).items()},
        "max_bytes": max_bytes,
        "max_text_bytes": TEXT_FACTOR * max_bytes,
        "memory_bytes": memory_bytes,
        "seconds": max(1, round(seconds)),
        "parent": os.getpid(),
    }
    request_path = workdir / "request.json"
    request_path.write_bytes(orjson.dumps(request))
    command = [sys.executable, "-P", "-m", "service.ingest.decode", str(request_path)]
    _run(command, folder, seconds=2 * seconds)
    return Decoded.read(folder)


def _run(command: Sequence[str], folder: Path, *, seconds: float) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_environment(),
            cwd=folder,
            timeout=seconds,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise _too_slow() from None
    if done.returncode == 0:
        return
    if done.returncode == REFUSED_STATUS and (folder / REFUSED).exists():
        raise _refusal((folder / REFUSED).read_bytes())
    if done.returncode == FULL_STATUS:
        raise StorageUnavailable(
            "There is no room for the upload: free disk space and send it again."
        )
    if done.returncode == -signal.SIGXCPU:
        raise _too_slow()
    if done.returncode in (-signal.SIGKILL, -signal.SIGABRT):
        # The kernel's answer to too much memory, and that of C++ where nobody catches bad_alloc.
        raise too_much_memory()
    if done.returncode < 0:  # a crash of the reader: nothing that an honest file does
        raise BadInput(
            "damaged_file",
            "The file is damaged in a way that its reader does not survive: write it again.",
            field=FIELD,
            malformed=True,
        )
    tail = done.stderr[-2000:].decode(errors="replace")
    if "MemoryError" in tail or "bad_alloc" in tail:
        raise too_much_memory()
    raise RuntimeError(f"the decoding process ended with status {done.returncode}: {tail}")


def _environment() -> dict[str, str]:
    """No secret of the service's, one thread, and an allocator that gives memory back."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return kept | {
        "PYTHONPATH": str(_ROOT),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "ARROW_IO_THREADS": "1",
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
    )


def _too_slow() -> BadInput:
    return BadInput(
        "too_slow",
        "Reading the file takes far longer than files of its size do: is it what it says it is? "
        "Write it again, or as .npz.",
        field=FIELD,
        malformed=True,
    )

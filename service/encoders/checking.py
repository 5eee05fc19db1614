"""Check an encoder's files in a process of its own, and pack them as they are stored.

The process runs the encoder once, on the probe texts. So what is stored embeds texts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from service.ingest.formats.encoder import ARCHIVE, DESCRIPTION
from service.ingest.isolate import sandbox

MEMORY_FACTOR: Final = 3
"""Half precision doubles as float32; the rest is for a layer's own copies."""
MORE_MEMORY_BYTES: Final = 640 << 20
"""For a large tokenizer, which takes tens of times its size."""


@dataclass(frozen=True, kw_only=True)
class CheckedEncoder:
    """An encoder that embeds texts, and its archive."""

    archive: Path
    description: Mapping[str, Any]


def check(path: Path, *, workdir: Path) -> CheckedEncoder:
    """The encoder in the archive at `path`. Blocking; raises BadInput, which names its file."""
    folder = workdir.absolute() / "checked"
    folder.mkdir()
    size = path.stat().st_size
    sandbox.run(
        {"kind": "encoder", "path": str(path.absolute()), "folder": str(folder)},
        memory_bytes=sandbox.MEMORY_BYTES + MORE_MEMORY_BYTES + MEMORY_FACTOR * size,
        seconds=sandbox.SECONDS + size / sandbox.BYTES_PER_SECOND,
    )
    return CheckedEncoder(
        archive=folder / ARCHIVE, description=orjson.loads((folder / DESCRIPTION).read_bytes())
    )

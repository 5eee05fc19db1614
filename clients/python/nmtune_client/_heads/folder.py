"""Unpack an exported folder, whole or not at all."""

import shutil
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from nmtune_client._http.download import check_place


@contextmanager
def unpacking(target: Path) -> Iterator[Path]:
    """The name to download a zip of one folder to; `target` becomes that folder.

    Raises ValueError for a zip of anything else.
    """
    check_place(target)
    name = f".{target.name}.{uuid.uuid4().hex}"
    packed, part = target.with_name(f"{name}.zip"), target.with_name(f"{name}.part")
    try:
        yield packed
        with zipfile.ZipFile(packed) as archive:
            for entry in archive.infolist():
                _write(archive, entry, part)
        part.rename(target)
    finally:
        packed.unlink(missing_ok=True)
        shutil.rmtree(part, ignore_errors=True)


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    """One file to its place below the folder; ValueError for a name that leads elsewhere."""
    _, *names = PurePosixPath(entry.filename).parts
    if not names or ".." in names or entry.is_dir():
        raise ValueError(f"{entry.filename[:80]!r} in the zip is not a file in its folder")
    path = folder.joinpath(*names)
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, path.open("xb") as file:
        shutil.copyfileobj(source, file)

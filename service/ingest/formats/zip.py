"""Open a zip file from a stranger: few members, plain names, no trusted sizes."""

import errno
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final

from service.ingest.errors import BadInput
from service.ingest.formats import npy
from service.ingest.limits import BLOCK_BYTES, LARGE_BYTES, MAX_DIRECTORY_BYTES, MAX_MEMBERS

FIELD: Final = "file"
"""The field of errors about the file as a whole."""

_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED: Final = 0x1
_PATH_LIKE: Final = re.compile(r"[/\\:\0]|^\.")
_OTHER_FORMATS: Final = {
    npy.MAGIC: "a single .npy array, without its labels",
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"\x89HDF": "HDF5",
    b"\x1f\x8b": "gzip",
    b"\x80": "a pickle, which is never opened",
}


class Member:
    """The uncompressed bytes of one array; damage is a BadInput that names it."""

    def __init__(self, stream: IO[bytes], field: str) -> None:
        self._stream = stream
        self._field = field

    def read(self, size: int, /) -> bytes:
        with _zip_errors(self._field):
            return self._stream.read(size)


def open_zip(file: IO[bytes]) -> zipfile.ZipFile:
    """The seekable `file` as an archive, its members not yet checked; raises BadInput."""
    _check_magic(file)
    source = _BoundedReads(file, limit=MAX_DIRECTORY_BYTES)
    with _zip_errors(FIELD):
        archive = zipfile.ZipFile(source)
    source.limit = BLOCK_BYTES
    return archive


def checked_members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members by array name (without .npy); raises BadInput for what an .npz never has."""
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise BadInput(
            "too_many_members",
            f"The file has {len(infos):,} members; the limit is {MAX_MEMBERS}.",
            field=FIELD,
        )
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = _check_member(info)
        if name in members:
            raise BadInput(
                "duplicate_member",
                f"{name[:80]} is in the file twice: leave one of them out.",
                field=name[:80],
                malformed=True,
            )
        members[name] = info
    return members


@contextmanager
def open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, field: str) -> Iterator[Member]:
    """The uncompressed bytes of a member; `field` is its name in errors."""
    with _zip_errors(field):
        stream = archive.open(info)
    with stream:
        yield Member(stream, field)


def check_sums(archive: zipfile.ZipFile) -> None:
    """Raise BadInput if a member's checksum is wrong, as far as LARGE_BYTES lead to it."""
    left = LARGE_BYTES
    for info in archive.infolist():
        with open_member(archive, info, info.filename.removesuffix(".npy")[:80]) as member:
            while left > 0 and (content := member.read(BLOCK_BYTES)):
                left -= len(content)


@contextmanager
def damage_first(archive: zipfile.ZipFile) -> Iterator[None]:
    """Turn a BadInput about values into one about damage, if damage made them wrong."""
    try:
        yield
    except BadInput as error:
        if not error.malformed:
            check_sums(archive)
        raise


class _BoundedReads:
    """The file as zipfile sees it: a directory that claims to be huge is not read into memory."""

    def __init__(self, file: IO[bytes], *, limit: int) -> None:
        self.limit = limit
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1, /) -> bytes:
        content = self._file.read(self.limit + 1 if size < 0 else min(size, self.limit + 1))
        if len(content) > self.limit:
            raise zipfile.BadZipFile("more at once than any honest file asks for")
        return content


@contextmanager
def _zip_errors(field: str) -> Iterator[None]:
    """Turn all that zipfile and zlib raise for damaged bytes into BadInput."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        OverflowError,
        ValueError,
        struct.error,
    ) as error:
        raise _damaged(field) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # else: a seek to before the start, as the directory says
            raise
        raise _damaged(field) from error


def _damaged(field: str) -> BadInput:
    return BadInput(
        "damaged_zip",
        f"{field} is damaged or was cut off: compare its size with the original and send it again.",
        field=field,
        malformed=True,
    )


def _check_magic(file: IO[bytes]) -> None:
    file.seek(0)
    start = file.read(8)
    file.seek(0)
    if start.startswith(b"PK"):
        return
    known = [what for magic, what in _OTHER_FORMATS.items() if start.startswith(magic)]
    what = known[0] if known else "empty" if not start else "in another format"
    raise BadInput(
        "not_npz",
        f"The file is {what}. Send an .npz: numpy.savez_compressed(file, train_x=..., "
        "train_y=..., test_x=..., test_y=...).",
        field=FIELD,
        malformed=True,
    )


def _check_member(info: zipfile.ZipInfo) -> str:
    """The array's name, if an .npz may have the member."""
    shown = info.filename[:80]
    if _PATH_LIKE.search(info.filename) or not info.filename.endswith(".npy"):
        raise BadInput(
            "unexpected_member",
            f"The file holds {shown!r}, which is not an array at its top level: save it with "
            "numpy.savez or numpy.savez_compressed.",
            field=FIELD,
            malformed=True,
        )
    if info.flag_bits & _ENCRYPTED:
        raise BadInput(
            "encrypted_zip",
            f"{shown!r} is encrypted: send it without a password.",
            field=FIELD,
            malformed=True,
        )
    if info.compress_type not in _METHODS:
        raise BadInput(
            "zip_method",
            f"{shown!r} is not compressed with deflate: use numpy.savez_compressed.",
            field=FIELD,
            malformed=True,
        )
    return info.filename.removesuffix(".npy")

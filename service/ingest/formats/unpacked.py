"""Read gzip or zstd text, decompressed as it is read and never beyond a limit."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import pyarrow as pa

from service.ingest.errors import FIELD, BadInput
from service.ingest.formats.detect import Compression
from service.ingest.limits import LARGE_BYTES, MAX_RATIO

DAMAGED: Final = "damaged_file"
_READ_BYTES: Final = 1 << 20
_GZIP_WINDOW: Final = 31


class Unpacked:
    """The plain bytes of a file; `read` raises BadInput for damage and beyond `max_bytes`."""

    closed = False

    def __init__(
        self, file: IO[bytes], *, size: int, compression: Compression | None, max_bytes: int
    ) -> None:
        self._left = max_bytes
        if compression is not None:
            self._left = min(max_bytes, max(LARGE_BYTES, MAX_RATIO * size))
        self._limit = self._left
        self._compression = compression
        self._source: IO[bytes] | _Gzip | pa.CompressedInputStream = file
        if compression == "gzip":
            self._source = _Gzip(file)
        elif compression == "zstd":
            self._source = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")

    def read(self, size: int = _READ_BYTES, /) -> bytes:
        """At most `size` bytes, empty at the end."""
        try:
            content = self._source.read(size if 0 < size <= _READ_BYTES * 4 else _READ_BYTES)
        except (zlib.error, EOFError, OSError) as error:
            raise BadInput(
                DAMAGED,
                f"The {self._compression} file is damaged, or was cut off: send it again.",
                field=FIELD,
                malformed=True,
            ) from error
        self._left -= len(content)
        if self._left < 0:
            raise BadInput(
                "suspicious_ratio" if self._compression else "too_large",
                f"The file is larger than {self._limit:,} bytes when uncompressed, the limit for "
                f"its "
                "size.",
                field=FIELD,
                malformed=self._compression is not None,
            )
        return content

    def check_sum(self) -> None:
        """Raise BadInput if the file's checksum is wrong, as far as LARGE_BYTES more lead to it."""
        if self._compression is None:
            return
        for _ in range(LARGE_BYTES // _READ_BYTES):
            try:
                if not self.read():
                    return
            except BadInput as error:
                if error.code == DAMAGED:
                    raise
                return  # it is too large when uncompressed

    def readable(self) -> bool:
        """Always true; pyarrow asks."""
        return True

    def close(self) -> None:
        """Do nothing: the file's opener closes it. pyarrow calls this."""


class _Gzip:
    """One or more gzip members after each other, unpacked a piece at a time; zlib checks each sum.

    The standard library's GzipFile reads on past a member that was cut off at its very end.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(_GZIP_WINDOW)
        self._rest = b""
        self._begun = False
        self._n_members = 0

    def read(self, size: int, /) -> bytes:
        while True:
            if self._inflate.eof:
                self._rest = self._inflate.unused_data
                self._inflate = zlib.decompressobj(_GZIP_WINDOW)
                self._begun = False
                self._n_members += 1
            packed = self._rest or self._file.read(_READ_BYTES)
            if packed and not self._begun and self._n_members:
                packed = self._rest = packed.lstrip(b"\0")  # padding, as tapes leave it
                if not packed:
                    continue
            if not packed:
                if not self._begun:
                    return b""
                # All is read, but zlib may still hold what did not fit into `size` before.
                content = self._inflate.decompress(b"", size)
                if not content and not self._inflate.eof:
                    raise EOFError("cut off")
                if content:
                    return content
                continue
            self._begun = True
            content = self._inflate.decompress(packed, size)
            self._rest = self._inflate.unconsumed_tail
            if content:
                return content


@contextmanager
def open_unpacked(
    path: Path, *, compression: Compression | None, max_bytes: int
) -> Iterator[Unpacked]:
    """The file at `path`, of which at most `max_bytes` are decompressed."""
    with path.open("rb") as file:
        size = path.stat().st_size
        yield Unpacked(file, size=size, compression=compression, max_bytes=max_bytes)

"""Take a large body in: write it to a file as it comes, off the event loop, and hash it."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from anyio import to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.ingest.disk import room_needed
from service.ingest.errors import BadInput

_BATCH_BYTES: Final = 1 << 20
_MAX_NAME_BYTES: Final = 1024
_VALUE_PARTS: Final = {
    "labels": "label",
    "splits": "split",
    "domains": "domain",
    "groups": "group",
    "ids": "id",
}
_PARTS: Final = ("file", "name", *_VALUE_PARTS)


@dataclass(frozen=True, kw_only=True)
class Received:
    """A file from a request; `name` and `file_name` come from a form, if there was one."""

    path: Path
    sha256: str
    name: str | None = None
    file_name: str | None = None
    parts: Mapping[str, Path] = field(default_factory=dict)
    """Files with one value per row that came with it, by meaning: label, split, ..., id."""


async def receive_raw(chunks: AsyncIterator[bytes], path: Path) -> Received:
    """Write a body that is the file itself to `path`."""
    with _open(path) as file:
        digest = hashlib.sha256()

        def write(batch: bytes) -> None:
            digest.update(batch)
            file.write(batch)

        await _pump(chunks, write)
    return Received(path=path, sha256=digest.hexdigest())


async def receive_form(chunks: AsyncIterator[bytes], path: Path, *, content_type: str) -> Received:
    """Write the part `file` of a multipart/form-data body to `path`; raises BadInput.

    Parts with one value per row (`labels`, `splits`, ...) are written beside it. The hash is that
    of the file (and of these): the boundary in the body differs with each attempt.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise _bad_form("has no boundary in its Content-Type")
    with room_needed(), ExitStack() as files:
        form = _Form(path, files)
        try:
            parser = form.parser(boundary)
            await _pump(chunks, parser.write)
            parser.finalize()
        except FormParserError as error:
            raise _bad_form("cannot be read as multipart/form-data") from error
    return form.received()


class _Form:
    """The parser's callbacks: each part at most once, in any order."""

    def __init__(self, path: Path, files: ExitStack) -> None:
        self._path = path
        self._open_files = files
        self._files: dict[str, BinaryIO] = {}
        self._digests: dict[str, hashlib._Hash] = {}
        self._parts: dict[str, bytearray] = {}
        self._part = ""
        self._header = (bytearray(), bytearray())
        self._disposition = ""
        self._file_name: str | None = None
        self._is_complete = False

    def parser(self, boundary: bytes) -> MultipartParser:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self.on_part_begin,
                "on_header_field": self.on_header_field,
                "on_header_value": self.on_header_value,
                "on_header_end": self.on_header_end,
                "on_headers_finished": self.on_headers_finished,
                "on_part_data": self.on_part_data,
                "on_end": self.on_end,
            },
        )

    def on_part_begin(self) -> None:
        self._disposition = ""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def on_header_end(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value.decode("latin-1")
        self._header = (bytearray(), bytearray())

    def on_headers_finished(self) -> None:
        options = parse_options_header(self._disposition)[1]
        self._part = _text(options.get(b"name", b""))
        if self._part not in _PARTS:
            known = ", ".join(_PARTS)
            raise _bad_form(f"has an unknown part {self._part[:80]!r}; it may have only {known}")
        if self._part in self._parts:
            raise _bad_form(f"has the part {self._part!r} twice")
        self._parts[self._part] = bytearray()
        if self._part != "name":
            file = self._path_of(self._part).open("xb")
            self._files[self._part] = self._open_files.enter_context(file)
            self._digests[self._part] = hashlib.sha256()
        if self._part == "file" and b"filename" in options:
            self._file_name = _text(options[b"filename"])

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        content = memoryview(data)[start:end]
        if self._part in self._files:
            self._digests[self._part].update(content)
            self._files[self._part].write(content)
            return
        value = self._parts[self._part]
        value.extend(content)
        if len(value) > _MAX_NAME_BYTES:
            raise _bad_form(f"has a name of more than {_MAX_NAME_BYTES:,} bytes")

    def on_end(self) -> None:
        self._is_complete = True

    def received(self) -> Received:
        if not self._is_complete:
            raise _bad_form("ends inside a part: was the upload cut off?")
        if "file" not in self._parts:
            raise _bad_form("has no part file: send the dataset as the part file")
        name = self._parts.get("name")
        return Received(
            path=self._path,
            sha256=self._digest(),
            name=None if name is None else _text(bytes(name)),
            file_name=self._file_name,
            parts={
                part: self._path_of(name)
                for name, part in _VALUE_PARTS.items()
                if name in self._files
            },
        )

    def _path_of(self, part: str) -> Path:
        return self._path if part == "file" else self._path.with_name(f"part-{part}")

    def _digest(self) -> str:
        """The hash of the file, or of the file and the other parts, whatever their order."""
        if len(self._digests) == 1:
            return self._digests["file"].hexdigest()
        lines = [f"{part} {self._digests[part].hexdigest()}" for part in sorted(self._digests)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


async def _pump(chunks: AsyncIterator[bytes], write: Callable[[bytes], object]) -> None:
    """Pass the chunks on in batches, each in a thread: a disk may stall for seconds."""
    batch = bytearray()
    async for chunk in chunks:
        batch += chunk
        if len(batch) >= _BATCH_BYTES:
            await to_thread.run_sync(write, bytes(batch))
            batch.clear()
    await to_thread.run_sync(write, bytes(batch))


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    with room_needed(), path.open("xb") as file:
        yield file


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _bad_form(what: str) -> BadInput:
    return BadInput("invalid_form", f"The form {what}.", field="body", malformed=True)

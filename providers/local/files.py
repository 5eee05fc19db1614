"""The files of an encoder: in a directory, or in one archive, which is a tar file.

Only the files below are looked at, all of them plain data. No other file is opened, whatever its
name, and a path in an archive is never written to.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from providers.errors import InvalidEncoder

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"
TOKENIZER: Final = "tokenizer.json"
TOKENIZER_CONFIG: Final = "tokenizer_config.json"
MODULES: Final = "modules.json"
POOLING: Final = "1_Pooling/config.json"
SENTENCE_CONFIG: Final = "sentence_bert_config.json"
PROMPTS: Final = "config_sentence_transformers.json"
CHOICES: Final = "nmtune.json"

REQUIRED: Final = (CONFIG, WEIGHTS, TOKENIZER)
KNOWN: Final = (
    *REQUIRED,
    TOKENIZER_CONFIG,
    MODULES,
    POOLING,
    SENTENCE_CONFIG,
    PROMPTS,
    CHOICES,
)
MAX_JSON_BYTES: Final = 1 << 20
MAX_TOKENIZER_BYTES: Final = 64 << 20
"""The largest tokenizers in use have 17 MB, for 250,000 pieces."""

_BLOCK: Final = 512
_CHUNK: Final = 1 << 20
_MAX_ENTRIES: Final = 10_000
_REGULAR: Final = (b"0", b"\0")


@dataclass(frozen=True)
class Part:
    """The bytes of one file: a range of a file on the disk."""

    path: Path
    offset: int
    size_bytes: int

    def read(self) -> bytes:
        """All of them."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size_bytes)

    def chunks(self) -> Iterator[bytes]:
        """All of them, piece by piece."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            left = self.size_bytes
            while left and (chunk := file.read(min(left, _CHUNK))):
                left -= len(chunk)
                yield chunk


Files = Mapping[str, Part]
"""The known files that are there, by their names."""


def find(place: Path) -> Files:
    """The known files of the encoder at `place`, a directory or an archive of one.

    Raises InvalidEncoder if a required file is missing or a file is far too large.
    """
    parts = _in_directory(place) if place.is_dir() else _in_archive(place)
    for name in REQUIRED:
        if name not in parts:
            raise InvalidEncoder(name, f"is missing. {_instead(name, place)}")
    for name, part in parts.items():
        largest = MAX_TOKENIZER_BYTES if name == TOKENIZER else MAX_JSON_BYTES
        if name != WEIGHTS and part.size_bytes > largest:
            raise InvalidEncoder(
                name, f"has {part.size_bytes:,} bytes, but may have at most {largest:,}."
            )
    return parts


def pack(parts: Files) -> Iterator[bytes]:
    """The archive of the files, the same bytes for the same files."""
    for name in sorted(parts):
        part = parts[name]
        yield _header(name, part.size_bytes)
        yield from part.chunks()
        yield bytes(-part.size_bytes % _BLOCK)
    yield bytes(2 * _BLOCK)


def sha256(parts: Files) -> str:
    """The sha256 of `pack`: what tells two encoders apart, wherever their files are."""
    digest = hashlib.sha256()
    for chunk in pack(parts):
        digest.update(chunk)
    return digest.hexdigest()


def _in_directory(folder: Path) -> dict[str, Part]:
    found = {}
    for name in KNOWN:
        path = folder / name
        if path.is_file():
            found[name] = Part(path, 0, path.stat().st_size)
    return found


def _in_archive(path: Path) -> dict[str, Part]:
    """The known files of a tar file, which may lie together in one folder of it."""
    with path.open("rb") as file:
        entries = list(_entries(file, path))
    roots = {name[: -len(CONFIG)] for name, _ in entries if _is_at(name, CONFIG)}
    root = min(roots, key=len, default="")
    found: dict[str, Part] = {}
    for name, part in entries:
        if name.removeprefix(root) in KNOWN and name.startswith(root):
            if name.removeprefix(root) in found:
                raise InvalidEncoder(name, "is twice in the archive: pack it again.")
            found[name.removeprefix(root)] = part
    return found


def _is_at(name: str, wanted: str) -> bool:
    """Whether it is the file `wanted`, at the top or one folder below it (but not 1_Pooling's)."""
    folder, _, last = name.rpartition("/")
    return last == wanted and "/" not in folder and f"{folder}/{wanted}" != POOLING


def _entries(file: IO[bytes], path: Path) -> Iterator[tuple[str, Part]]:
    """The regular files of a tar file. Links, devices and the like are passed over."""
    size = os.fstat(file.fileno()).st_size
    at = 0
    for _ in range(_MAX_ENTRIES):
        file.seek(at)
        header = file.read(_BLOCK)
        if len(header) < _BLOCK or not any(header):
            return
        length = _length(header)
        if length is None or at + _BLOCK + length > size:
            raise InvalidEncoder(
                "The archive",
                "is damaged, or is no tar file: pack the model's directory again, as in "
                "tar -cf model.tar -C DIRECTORY .",
            )
        if header[156:157] in _REGULAR:
            yield _name(header), Part(path, at + _BLOCK, length)
        at += _BLOCK + length + -length % _BLOCK
    raise InvalidEncoder("The archive", f"has more than {_MAX_ENTRIES:,} files.")


def _length(header: bytes) -> int | None:
    """The size of an entry; None if the block is no header of a tar file."""
    checksum = _octal(header[148:156])
    if checksum != sum(header[:148]) + 8 * ord(" ") + sum(header[156:]):
        return None
    return _octal(header[124:136])


def _octal(field: bytes) -> int | None:
    digits = field.strip(b"\0 ")
    if not digits or any(digit not in b"01234567" for digit in digits):
        return None
    return int(digits, 8)


def _name(header: bytes) -> str:
    name = header[:100].split(b"\0")[0]
    prefix = header[345:500].split(b"\0")[0] if header[257:262] == b"ustar" else b""
    full = (prefix + b"/" + name) if prefix else name
    return full.decode(errors="replace").removeprefix("./")


def _header(name: str, size_bytes: int) -> bytes:
    """The header of a file in a POSIX tar file, without owner, mode and time."""
    header = bytearray(_BLOCK)
    header[:100] = name.encode().ljust(100, b"\0")
    header[100:108] = b"0000644\0"
    header[108:116] = header[116:124] = b"0000000\0"
    header[124:136] = f"{size_bytes:011o}\0".encode()
    header[136:148] = b"00000000000\0"
    header[148:156] = b" " * 8
    header[156:157] = b"0"
    header[257:265] = b"ustar\00000"
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header)


def _instead(name: str, place: Path) -> str:
    """What to do about a missing file."""
    if name != WEIGHTS:
        return "Save the model and its tokenizer with transformers or sentence-transformers."
    others = sorted(place.glob("*.bin")) + sorted(place.glob("*.pt")) if place.is_dir() else []
    if place.is_dir() and (place / f"{WEIGHTS}.index.json").exists():
        return "Weights in several files are not read: save the model again as one file."
    named = f"{others[0].name} may be a pickle, which can run code and is never opened. " * bool(
        others
    )
    return f"{named}Save the model again with save_pretrained of transformers 5, as safetensors."

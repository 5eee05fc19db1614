"""A stored file that checks every byte at the moment it is read, in any order.

A sha256 covers a whole file, but its running state after each block can be kept. Once a file was
read through and had its hash, its states are those of the true bytes: the state before a block and
the block itself must give the state after it. So any block can be checked on its own, and a file
that changes after it was checked gives out no changed byte.
"""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, Self, TypeAlias

from store.bytes.faults import corrupt

BLOCK_BYTES: Final = 1 << 20

States: TypeAlias = Sequence[Any]
"""The hash before each block and after the last; only copied, never updated."""


class KnownStates:
    """The states of recently read files, by sha256. They belong to the true bytes: never stale."""

    def __init__(self, *, most: int = 1 << 15) -> None:
        """most: how many states to keep, each some 400 bytes for one MiB of a file."""
        self._most = most
        self._lock = threading.Lock()
        self._known: OrderedDict[str, States] = OrderedDict()

    def get(self, sha256: str) -> States | None:
        """The states of the file with this hash, if it was read recently."""
        with self._lock:
            if sha256 in self._known:
                self._known.move_to_end(sha256)
            return self._known.get(sha256)

    def keep(self, sha256: str, states: States) -> None:
        """Keep the states of a file that had this hash."""
        with self._lock:
            self._known[sha256] = states
            while sum(map(len, self._known.values())) > self._most and len(self._known) > 1:
                self._known.popitem(last=False)


class CheckedFile:
    """An open file of stored bytes; use it in a `with` block, or `close` it.

    All methods raise ArtifactCorrupt if the file does not match its hash.
    """

    def __init__(self, path: Path, sha256: str, known: KnownStates) -> None:
        """Open the file; read it through unless its states are known. Raises FileNotFoundError."""
        self._sha256 = sha256
        self.path = path
        self._file = path.open("rb", buffering=0)
        try:
            self.size_bytes = os.fstat(self._file.fileno()).st_size
            states = known.get(sha256)
            self._was_read = states is None
            if states is None:
                states = _read_through(self._file)
                if states[-1].hexdigest() != sha256:
                    raise corrupt(path, sha256)
                known.keep(sha256, states)
            self._states = states
        except BaseException:
            self._file.close()
            raise

    def check(self, start: int, stop: int) -> None:
        """Check the bytes from `start` to before `stop`, unless opening has checked all."""
        if not self._was_read:
            for _ in self.chunks(start, stop):
                pass

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes of that range, at most `BLOCK_BYTES` at a time, each block checked."""
        for index in range(start // BLOCK_BYTES, -(-stop // BLOCK_BYTES)):
            begin = index * BLOCK_BYTES
            block = self._block(index)
            yield block[max(0, start - begin) : stop - begin]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _block(self, index: int) -> bytes:
        block = _pread(self._file, index * BLOCK_BYTES)
        if index + 1 >= len(self._states):
            raise corrupt(self.path, self._sha256)
        after = self._states[index].copy()
        after.update(block)
        if after.digest() != self._states[index + 1].digest():
            raise corrupt(self.path, self._sha256)
        return block


def _read_through(file: BinaryIO) -> list[Any]:
    states = [hashlib.sha256()]
    while block := _pread(file, (len(states) - 1) * BLOCK_BYTES):
        after = states[-1].copy()
        after.update(block)
        states.append(after)
    return states


def _pread(file: BinaryIO, offset: int) -> bytes:
    """A whole block, or the rest of the file."""
    parts, n_missing = [], BLOCK_BYTES
    while n_missing and (part := os.pread(file.fileno(), n_missing, offset)):
        parts.append(part)
        offset, n_missing = offset + len(part), n_missing - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)

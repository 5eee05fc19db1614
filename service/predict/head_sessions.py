"""The sessions of a loaded head: in this process's memory, or mapped from files that all share.

A server of several processes has a folder for these files. Whoever loads a head first writes its
folder under another name and renames it, so that no process sees half of it. Each process holds a
shared lock on the folders of the heads that it has loaded; the last one to drop a head removes its
folder. Whatever a killed process left goes with the server's folder.
"""

import fcntl
import json
import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from nmtune.heads.head import Head
    from nmtune.serving.session import Session, TunedSession

logger = logging.getLogger(__name__)

_LOCK: Final = "lock"
_PREDICT, _TUNED, _SIZES = "predict.onnx", "tuned.onnx", "sizes.json"


class HeadSessions(Protocol):
    """The session for probabilities, and on demand that for tuned embeddings."""

    session: "Session"
    n_bytes: int
    """The size of the head's arrays and of the session's copy."""

    def tuned(self) -> "TunedSession":
        """Build the session for tuned embeddings, in some 50 ms."""
        ...


class OwnSessions:
    """Sessions in this process's memory."""

    def __init__(self, head: "Head", *, n_threads: int) -> None:
        from nmtune.serving.folded import fold
        from nmtune.serving.session import Session

        self._folded = fold(head)
        self._n_threads = n_threads
        self.session = Session(self._folded, n_threads=n_threads)
        self.n_bytes = 2 * self._folded.n_bytes

    def tuned(self) -> "TunedSession":
        """See `HeadSessions`."""
        from nmtune.serving.session import TunedSession

        return TunedSession(self._folded, n_threads=self._n_threads)


class MappedSessions:
    """Sessions whose arrays are mapped from files; these go with the last that uses them."""

    def __init__(self, head: "Head", sha256: str, *, root: Path, n_threads: int) -> None:
        """Write the head's files below `root`, unless they are there already.

        Raises OSError, or an error of onnxruntime, if they cannot be written.
        """
        from nmtune.serving.session import Session

        self._folder = root / sha256
        descriptor = _held(root, self._folder)
        if descriptor is None:
            with _written(root, head) as made:
                descriptor = _held(root, self._folder, made)
        assert descriptor is not None  # noqa: S101 - the folder was there, or has been put there
        weakref.finalize(self, _leave, root, self._folder, descriptor)
        sizes = json.loads((self._folder / _SIZES).read_text())
        self.n_bytes: int = sizes["n_bytes"]
        self._n_products: int = sizes["n_products"]
        self._n_threads = n_threads
        self.session = Session.mapped(
            self._folder / _PREDICT, n_products=self._n_products, n_threads=n_threads
        )

    def tuned(self) -> "TunedSession":
        """See `HeadSessions`."""
        from nmtune.serving.session import TunedSession

        return TunedSession.mapped(
            self._folder / _TUNED, n_products=self._n_products, n_threads=self._n_threads
        )


def sessions_of(head: "Head", sha256: str, *, root: Path | None, n_threads: int) -> HeadSessions:
    """The sessions of the head with this hash; mapped from files below `root`, if that is given.

    Where no file can be written, because the disk is full for instance, the process has its own.
    """
    if root is not None:
        try:
            return MappedSessions(head, sha256, root=root, n_threads=n_threads)
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no class in common
            logger.warning("head_cache.not_mapped sha256=%s reason=%s", sha256, error)
    return OwnSessions(head, n_threads=n_threads)


@contextmanager
def _written(root: Path, head: "Head") -> Iterator[Path]:
    """A folder with the files of the head; it is removed unless it was put somewhere else."""
    from nmtune.serving.folded import fold
    from nmtune.serving.session import PREDICT, TUNED, products, save

    folded = fold(head)
    folder = Path(tempfile.mkdtemp(dir=root))
    try:
        save(folded, PREDICT, folder / _PREDICT)
        save(folded, TUNED, folder / _TUNED)
        sizes = {"n_bytes": 2 * folded.n_bytes, "n_products": products(folded)}
        (folder / _SIZES).write_text(json.dumps(sizes))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _held(root: Path, folder: Path, made: Path | None = None) -> int | None:
    """A descriptor that keeps the folder from being removed; None if there is no such folder.

    made: what to put there if there is none.
    """
    with _alone(root):
        if made is not None and not folder.exists():
            made.rename(folder)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return descriptor


def _leave(root: Path, folder: Path, descriptor: int) -> None:
    """Let the folder go, and remove it if no other process holds it."""
    try:
        with _alone(root):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return  # another process has the head loaded, or the server's folder is gone
    finally:
        os.close(descriptor)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """No other process looks at or changes which folders there are; for moments only."""
    descriptor = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

"""Loaded heads: read, folded, checked on their self-test, and kept while there is room.

torch, which reads a head, and onnxruntime, which serves it, are imported with the first: see
`warming`.
"""

import ctypes
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson
from numpy.typing import NDArray

from nmtune.errors import DataError
from nmtune.rows.checks import as_rows
from service.http.layers import metrics
from service.ingest.numbers import is_finite
from service.predict.head_sessions import HeadSessions, sessions_of

if TYPE_CHECKING:
    from nmtune.heads.head import Head
    from nmtune.serving.session import TunedSession

logger = logging.getLogger(__name__)


class LoadedHead:
    """One head, ready to answer: one session for probabilities, one for tuned embeddings."""

    def __init__(self, head: "Head", sessions: HeadSessions) -> None:
        """Raises SelfTestError if the head has self-test rows and the session fails them."""
        from nmtune.serving.session import check_self_test

        self.classes = head.classes
        self.n_columns = head.n_columns
        self.temperature = np.float32(head.temperature)
        self.knowledge = head.knowledge
        self.classes_json = orjson.Fragment(orjson.dumps(head.classes))
        self._sessions = sessions
        self.session = sessions.session
        self.n_bytes = sessions.n_bytes
        if head.self_test is not None:
            check_self_test(self.session, head.self_test)

    @cached_property
    def tuned(self) -> "TunedSession":
        """The session for tuned embeddings, built when they are first asked for."""
        return self._sessions.tuned()

    def transform(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Tuned embeddings (n, m) of rows x (n, d) that `check` has passed. Blocking."""
        return self.tuned.run(x)

    def check(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """x (n, d) in C order, if the head can take it; DataError says where it cannot."""
        if x.ndim == 2 and x.shape[1] == self.n_columns and len(x) and is_finite(x):
            return np.ascontiguousarray(x, np.float32)
        rows = as_rows(x, n_columns=self.n_columns)
        with np.errstate(over="ignore"):
            finite = np.isfinite(np.einsum("ij,ij->i", rows, rows))
        if not finite.all():
            raise too_large(int(finite.argmin()))
        return np.ascontiguousarray(rows)


def too_large(row: int) -> DataError:
    """The error of a row that leaves float32's range on its way through a head."""
    return DataError(
        f"embeddings in row {row} are too large for the head: "
        "are they from the model it was trained on?",
        field="embeddings",
        row=row,
    )


class HeadCache:
    """Loaded heads by the sha256 of their bytes; the least recently used go beyond `max_bytes`.

    The newest always stays: reloading a large head for each prediction would take seconds.

    The key is the content, so a new version or a moved alias needs no invalidation. However many
    threads ask for a head that is not loaded, one of them loads it and the others wait for it.
    """

    def __init__(self, *, max_bytes: int, n_threads: int = 1, folder: Path | None = None) -> None:
        """folder: where heads are files that all processes of the server map; None: it has one."""
        self.max_bytes = max_bytes
        self._n_threads = n_threads
        self._folder = folder
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, LoadedHead] = OrderedDict()
        self._loading: dict[str, Future[LoadedHead]] = {}
        self._n_bytes = 0

    @property
    def n_bytes(self) -> int:
        """The size of all heads that are kept."""
        return self._n_bytes

    def peek(self, sha256: str) -> LoadedHead | None:
        """The head if it is loaded; never waits for more than a moment."""
        with self._lock:
            loaded = self._loaded.get(sha256)
            if loaded is not None:
                metrics.HEAD_CACHE_HITS.inc()
                self._loaded.move_to_end(sha256)
            return loaded

    def get(self, sha256: str, load: Callable[[], bytes]) -> LoadedHead:
        """The head whose bytes have this hash; `load` is called at most once, to get them.

        An error of `load` or of reading the bytes goes to every waiting caller. Nothing is kept, so
        the next caller tries again.
        """
        loaded = self.peek(sha256)
        if loaded is not None:
            return loaded
        with self._lock:
            if sha256 in self._loaded:
                return self._loaded[sha256]
            pending = self._loading.get(sha256)
            if pending is None:
                metrics.HEAD_CACHE_MISSES.inc()
                mine = self._loading[sha256] = Future()
            else:
                metrics.HEAD_CACHE_HITS.inc()
        if pending is not None:
            return pending.result()
        try:
            from nmtune.heads.head import Head

            head = Head.from_bytes(load())
            sessions = sessions_of(head, sha256, root=self._folder, n_threads=self._n_threads)
            loaded = LoadedHead(head, sessions)
        except BaseException as error:
            with self._lock:
                del self._loading[sha256]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._loading[sha256]
            self._keep(sha256, loaded)
        mine.set_result(loaded)
        _give_back_memory()
        return loaded

    def _keep(self, sha256: str, loaded: LoadedHead) -> None:
        self._loaded[sha256] = loaded
        self._n_bytes += loaded.n_bytes
        while self._n_bytes > self.max_bytes and len(self._loaded) > 1:
            _, dropped = self._loaded.popitem(last=False)
            self._n_bytes -= dropped.n_bytes
        metrics.HEAD_CACHE_BYTES.set(self._n_bytes)
        if loaded.n_bytes > self.max_bytes:
            logger.warning(
                "head_cache.too_small sha256=%s head_bytes=%s max_bytes=%s",
                sha256,
                loaded.n_bytes,
                self.max_bytes,
            )


def _give_back_memory() -> None:
    """Give the system back what loading took for a moment: several times the head's size.

    Otherwise glibc keeps it for this process, which may not load another head for days.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

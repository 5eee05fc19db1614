"""The home of predictions: heads loaded once, kept while there is room, and asked."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmtune.head import Head
from service import metrics
from service.errors import Problem
from service.known_heads import KnownHeads
from store.heads import HeadVersion
from store.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What one head version says of n embeddings."""

    version: HeadVersion
    is_remembered: bool
    """Whether the database was away: the version is what the reference named before."""
    classes: tuple[str, ...]
    labels: list[str]
    """The most probable class of each row."""
    probabilities: NDArray[np.float32]
    """(n, c), the columns in the order of `classes`."""


class HeadCache:
    """Loaded heads by the sha256 of their bytes; the least recently used go beyond `max_bytes`.

    The newest always stays: loading a large head anew for each prediction would take seconds.

    The key is the content, so a new version or a moved alias needs no invalidation. However many
    threads ask for a head that is not loaded, one of them loads it and the others wait for it.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, tuple[Head, int]] = OrderedDict()
        self._loading: dict[str, Future[Head]] = {}
        self._n_bytes = 0
        self.n_hits = 0
        """How often a head was there, or on its way."""
        self.n_misses = 0
        """How often a head had to be loaded."""

    @property
    def n_bytes(self) -> int:
        """The size of all heads that are kept."""
        return self._n_bytes

    def get(self, sha256: str, load: Callable[[], bytes]) -> Head:
        """The head whose bytes have this hash; `load` is called at most once, to get them.

        Whatever `load` or the reading of the bytes raises goes to everyone who waits, and nothing
        is kept, so that the next caller tries again.
        """
        with self._lock:
            if sha256 in self._loaded:
                self.n_hits += 1
                self._loaded.move_to_end(sha256)
                return self._loaded[sha256][0]
            pending = self._loading.get(sha256)
            if pending is None:
                self.n_misses += 1
                mine = self._loading[sha256] = Future()
        if pending is not None:
            return pending.result()
        try:
            data = load()
            head = Head.from_bytes(data)
        except BaseException as error:
            with self._lock:
                del self._loading[sha256]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._loading[sha256]
            self._keep(sha256, head, len(data))
        mine.set_result(head)
        return head

    def _keep(self, sha256: str, head: Head, n_bytes: int) -> None:
        self._loaded[sha256] = (head, n_bytes)
        self._n_bytes += n_bytes
        while self._n_bytes > self.max_bytes and len(self._loaded) > 1:
            _, (_, n_dropped) = self._loaded.popitem(last=False)
            self._n_bytes -= n_dropped
        if n_bytes > self.max_bytes:
            logger.warning(
                "head_cache.too_small sha256=%s head_bytes=%s max_bytes=%s",
                sha256,
                n_bytes,
                self.max_bytes,
            )


class Predictor:
    """Answers with the head that a reference such as `pets@prod` names at that moment.

    While the database is away, loaded heads go on by what references named before.
    """

    def __init__(self, store: Store, *, max_cache_bytes: int, max_rows: int) -> None:
        self.max_rows = max_rows
        self._store = store
        self._known = KnownHeads(store)
        self.cache = HeadCache(max_bytes=max_cache_bytes)

    def check_n_rows(self, n_rows: int) -> None:
        """Problem 413 if that many rows are too many for one request."""
        if n_rows > self.max_rows:
            raise Problem(
                413,
                "too_many_rows",
                f"got {n_rows} rows; one prediction takes at most {self.max_rows}. Send them in "
                "several requests.",
                field="embeddings",
            )

    def version(self, tenant_id: str, reference: str) -> HeadVersion:
        """The head version that `reference` names now. Raises NotFound, InvalidReference."""
        return self._known.resolve(tenant_id, reference).version

    def predict(self, tenant_id: str, reference: str, x: NDArray[np.float32]) -> Prediction:
        """The prediction of the head `reference` for embeddings x (n, d).

        Raises:
            Problem: too many rows.
            NotFound, InvalidReference: there is no such head, or the reference has no such form.
            DataError: x has another width than the head, or values it cannot take.
            ArtifactMissing, ArtifactCorrupt, HeadFormatError: the head's file is lost or damaged.
        """
        began = time.perf_counter()
        self.check_n_rows(len(x))
        version, is_remembered = self._known.resolve(tenant_id, reference)

        def load() -> bytes:
            return self._store.artifacts.get_bytes(tenant_id, version.sha256)

        head = self.cache.get(version.sha256, load)
        probabilities = head.predict_proba(x)
        labels = [head.classes[index] for index in probabilities.argmax(axis=1).tolist()]
        metrics.PREDICTION_SECONDS.observe(time.perf_counter() - began)
        metrics.PREDICTED_ROWS.inc(len(x))
        return Prediction(
            version=version,
            is_remembered=is_remembered,
            classes=head.classes,
            labels=labels,
            probabilities=probabilities,
        )

"""Sum up predicted rows beside the predictions, and store the sums.

A prediction leaves its rows in a list and goes on. Every second a thread sums them up and forgets
the rows, and every few seconds it adds the sums to the database's window.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.predict.drift_news import tell_of_drift
from store import drift
from store.access import tenants
from store.errors import StoreError
from store.store import Store

if TYPE_CHECKING:
    from nmtune.trust.row_summary import RowSummary

logger = logging.getLogger(__name__)

FOLD_SECONDS: Final = 1.0
"""How long rows may wait to be summed."""

MOST_BYTES: Final = 32 * 1024 * 1024
"""Rows that may wait; further rows are not counted, which hardly changes shares and means."""

MOST_HEADS: Final = 1000
"""How many heads' sums are kept while the database is away; further ones are not counted."""

CLOSE_SECONDS: Final = 5.0


class _Rows(NamedTuple):
    tenant_id: str
    sha256: str
    summary: "RowSummary"
    x: NDArray[np.float32]
    probabilities: NDArray[np.float32]


class _Sums(NamedTuple):
    n_rows: int
    sums: NDArray[np.float64]
    summary: "RowSummary"


class DriftRecorder:
    """Counts predicted rows for drift, without ever delaying or failing a prediction."""

    def __init__(self, store: Store, *, flush_seconds: float) -> None:
        self._store = store
        self._flush_seconds = flush_seconds
        self._waiting: deque[_Rows] = deque()
        self._n_bytes = 0
        self._n_dropped = 0
        self._sums: dict[tuple[str, str], _Sums] = {}
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def record(
        self,
        tenant_id: str,
        sha256: str,
        summary: "RowSummary",
        x: NDArray[np.float32],
        probabilities: NDArray[np.float32],
    ) -> None:
        """Note rows x (n, d) and their probabilities (n, c); neither may be changed afterwards."""
        if self._n_bytes > MOST_BYTES:
            self._n_dropped += len(x)
            return
        # Not exact when threads race, but near enough for a bound.
        self._n_bytes += x.nbytes
        self._waiting.append(_Rows(tenant_id, sha256, summary, x, probabilities))
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """Store what was counted, and end the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def fold(self) -> None:
        """Sum up the waiting rows."""
        by_head: dict[tuple[str, str], list[_Rows]] = {}
        for _ in range(len(self._waiting)):
            rows = self._waiting.popleft()
            by_head.setdefault((rows.tenant_id, rows.sha256), []).append(rows)
        self._n_bytes = 0
        for key, parts in by_head.items():
            if key not in self._sums and len(self._sums) >= MOST_HEADS:
                self._n_dropped += sum(len(part.x) for part in parts)
                continue
            x = np.concatenate([part.x for part in parts])
            predicted = np.concatenate([part.probabilities.argmax(axis=1) for part in parts])
            summary = parts[0].summary
            sums = summary.sums(x, predicted)
            before = self._sums.get(key, _Sums(0, np.zeros_like(sums), summary))
            self._sums[key] = _Sums(before.n_rows + len(x), before.sums + sums, summary)

    def flush(self) -> None:
        """Add the sums to the database's windows; if it is away, they wait for the next time."""
        if self._n_dropped:
            logger.warning("drift.dropped n_rows=%s", self._n_dropped)
            self._n_dropped = 0
        for key, (n_rows, sums, summary) in list(self._sums.items()):
            try:
                with self._store.database.begin() as tx:
                    if tenants.is_there(tx, key[0]):
                        drift.add(tx, *key, n_rows=n_rows, sums=sums)
                        tell_of_drift(tx, *key, summary)
                    drift.prune(tx)
            except StoreError as error:
                logger.warning("drift.kept reason=%s", error)
                return
            except ValueError as error:
                logger.error("drift.lost sha256=%s reason=%s", key[1], error)
            del self._sums[key]

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="drift", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        waited = 0.0
        while not self._stopping.wait(min(FOLD_SECONDS, self._flush_seconds)):
            waited += min(FOLD_SECONDS, self._flush_seconds)
            self._try(self.fold)
            if waited >= self._flush_seconds:
                waited = 0.0
                self._try(self.flush)
        self._try(self.fold)
        self._try(self.flush)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:  # a bug here must not end the thread, nor touch a prediction
            logger.exception("drift.failed")

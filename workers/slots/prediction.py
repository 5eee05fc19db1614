"""Slots that only predict files, so that predictions never wait behind trainings.

They are threads beside a worker's other slots, in a local worker and a Celery worker alike: each
looks at the rows every `poll_seconds`, and wakes early if the doorbell is in the same process. A
prediction holds a block of rows at a time, uses no GPU and keeps no process ready.
"""

import threading
from collections.abc import Callable

from store.states import JobKind
from store.store import Store
from workers.attempt.run import WITHOUT_GPU
from workers.settings import WorkerSettings
from workers.slots.slot import Slot
from workers.slots.storage_gate import StorageGate


class PredictionSlots:
    """`prediction_slots` threads that claim only predictions."""

    def __init__(
        self,
        store: Store,
        settings: WorkerSettings,
        stopping: threading.Event,
        wait: Callable[[float], object],
        gate: StorageGate,
    ) -> None:
        """wait: returns when there may be work, after so many seconds at the latest."""
        names = [f"predict-{number}" for number in range(settings.prediction_slots)]
        slots = {
            name: Slot(
                *(store, settings, stopping, gate),
                name=name,
                gpu=WITHOUT_GPU,
                kind=JobKind.PREDICTION,
            )
            for name in names
        }
        self._threads = [
            threading.Thread(target=slot.work, args=(wait,), name=name, daemon=True)
            for name, slot in slots.items()
        ]

    def start(self) -> None:
        """Begin to work; returns at once."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until the jobs are handed back, once `stopping` is set."""
        for thread in self._threads:
            thread.join()

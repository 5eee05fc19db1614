"""The process of a worker alone. It imports neither the web server nor torch.

The science runs in the worker's children; this process lives for weeks and mostly waits.
"""

import signal
import sys
import threading
from types import FrameType

from standalone.process import open_store, told_to_stop
from store.queue import LocalQueue
from workers import metrics
from workers.settings import WorkerSettings
from workers.slots.local import LocalWorker


def worker(settings: WorkerSettings) -> int:
    """Run a worker alone until it is told to stop; its exit status."""
    if settings.broker_url is not None:
        return _celery_worker(settings, settings.broker_url.get_secret_value())
    stopping = threading.Event()
    with open_store(settings) as store, told_to_stop(stopping), metrics.served(settings):
        local = LocalWorker(store, LocalQueue(), settings)
        local.start()
        print(f"NMTune worker is ready (data in {settings.data_dir})", flush=True)
        stopping.wait()
        local.stop()
    return 0


def _celery_worker(settings: WorkerSettings, broker_url: str) -> int:
    # Celery takes a third of a second to import, and the embedded server does without it.
    from workers.slots.celery import CeleryWorker

    with open_store(settings) as store, metrics.served(settings):
        signal.signal(signal.SIGTERM, _leave)  # until Celery listens itself, a moment later
        print(f"NMTune worker is ready (data in {settings.data_dir})", flush=True)
        return CeleryWorker(store, settings, broker_url=broker_url).run()


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    sys.exit(0)

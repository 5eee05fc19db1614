"""The process of a worker without an API. It imports neither the web server nor torch.

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
    """Run a worker until it must stop; return the exit status."""
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
    # Celery takes a third of a second to import, and a local worker does not need it.
    from workers.slots.celery import CeleryWorker

    with open_store(settings) as store, metrics.served(settings):
        signal.signal(signal.SIGTERM, _leave)  # until Celery has its own handler
        print(f"NMTune worker is ready (data in {settings.data_dir})", flush=True)
        return CeleryWorker(store, settings, broker_url=broker_url).run()


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    sys.exit(0)

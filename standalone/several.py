"""One server of several processes: some answer requests, and with `up` one more works through jobs.

This process is their parent. It makes what they share, imports what they need, forks them, and
touches neither database nor requests from then on: see `parent`.
"""

import fcntl
import gc
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

import migrations
from service.listen.shares import Shares
from service.operate import metric_files
from service.settings import ServiceSettings
from standalone.parent import Parent, Ready, Role
from standalone.process import StartError, open_store, told_to_stop
from store.queue import LocalQueue, PipeQueue
from workers.settings import WorkerSettings

if TYPE_CHECKING:
    import socket

    from service.shared import Shared

logger = logging.getLogger(__name__)

FOLDER: Final = "processes"
"""In the data folder: a folder for each running server, with its counts and mapped heads."""

_LOCK: Final = "lock"
_WORKER: Final = "worker"
_ONE_THREAD: Final = "OPENBLAS_NUM_THREADS"
_IMPORTED: Final = (
    "nmtune.heads.head",
    "nmtune.serving.folded",
    "nmtune.serving.onnx_graph",
    "workers.slots.local",
)
"""What the processes would import later: here once for all. Not onnxruntime, which starts a thread
when it is imported; a fork would not copy that."""


def serve(service: ServiceSettings, workers: WorkerSettings, *, everything: bool) -> None:
    """Run the API in `service.processes` processes until told to stop.

    everything: with a worker in a process of its own, and the schema brought up to date first.
    """
    with _run_folder(service.data_dir) as folder:
        names = [f"api-{number}" for number in range(service.processes)]
        metrics_folder = folder / "metrics"
        metric_files.begin(metrics_folder, [*names, _WORKER])
        _import_once()
        # After `begin`: these make metrics.
        from service.shared import Shared
        from standalone import up

        up.certificate_of(service)  # a wrong one is told before anything is started
        with up.listening(service) as listener:
            if everything:
                logger.info("server.starting %s", up.STARTING)
                migrations.upgrade(service.database_url)
            heads_folder = folder / "heads"
            heads_folder.mkdir()
            shared = Shared(metrics_folder=metrics_folder, heads_folder=heads_folder)
            with open_store(service) as store:
                ready = up.ready_line(service, listener, store, shared, everything=everything)
            shares = Shares(service.processes)
            bell = PipeQueue()
            roles = [
                Role(
                    name=name,
                    run=partial(
                        _be_api,
                        *(name, number, service, workers, listener, shared, shares),
                        bell=bell if everything else None,
                    ),
                )
                for number, name in enumerate(names)
            ]
            if everything:
                roles.append(
                    Role(name=_WORKER, run=partial(_be_worker, service, workers, listener, bell))
                )

            def on_death(name: str) -> None:
                if name in names:
                    shares.of(names.index(name)).note_dead()
                metric_files.note_dead(metrics_folder, name)

            parent = Parent(roles, on_death=on_death)
            gc.collect()
            gc.freeze()  # collections in the children do not copy what is shared
            parent.run(lambda: print(ready, flush=True), on_stop=listener.close)


def _be_api(
    name: str,
    number: int,
    service: ServiceSettings,
    workers: WorkerSettings,
    listener: "socket.socket",
    shared: "Shared",
    shares: Shares,
    ready: Ready,
    *,
    bell: PipeQueue | None,
) -> None:
    """Answer requests. bell: of this server's worker; without one the first process sweeps."""
    from standalone import up

    metric_files.become(name)
    settings = service.of_one_process()
    serve_from = partial(
        up.serve,
        settings,
        listener,
        shared=shared,
        share=shares.of(number),
        certificate=up.certificate_of(service),
        shared_buckets=None if bell is not None else up.shared_buckets_of(workers),
    )
    with open_store(settings, writes_alone=True) as store:  # the parent has warned already
        if bell is not None:
            serve_from(store=store, queue=bell, on_ready=ready)
            return
        with up.doorbell(store, workers) as queue:
            if number:
                serve_from(store=store, queue=queue, on_ready=ready)
                return
            with up.sweeping(store, queue, workers):
                serve_from(store=store, queue=queue, on_ready=ready)


def _be_worker(
    service: ServiceSettings,
    workers: WorkerSettings,
    listener: "socket.socket",
    bell: PipeQueue,
    ready: Ready,
) -> None:
    """Work through jobs, deliver webhooks and sweep: all that a server does once."""
    import threading

    from workers.slots.local import LocalWorker

    listener.close()  # or the port would take connections as long as this process ends its jobs
    metric_files.become(_WORKER)
    stopping = threading.Event()
    with told_to_stop(stopping), open_store(service, writes_alone=True) as store:
        queue = LocalQueue()
        bell.forward(queue)
        worker = LocalWorker(store, queue, workers)
        worker.start()
        ready()
        stopping.wait()
        worker.stop()


def _import_once() -> None:
    """Import what the processes need, without starting a thread."""
    before = os.environ.get(_ONE_THREAD)
    os.environ[_ONE_THREAD] = "1"  # numpy's library reads it once, when it is imported
    try:
        for name in ("standalone.up", *_IMPORTED):
            import_module(name)
    finally:
        if before is None:
            del os.environ[_ONE_THREAD]
        else:
            os.environ[_ONE_THREAD] = before


@contextmanager
def _run_folder(data_dir: Path) -> Iterator[Path]:
    """A folder of this server alone, removed at its end, or by the next one if it is killed.

    Raises StartError if there is no room.
    """
    root = data_dir / FOLDER
    try:
        root.mkdir(parents=True, exist_ok=True)
        for lock in root.glob(f"*/{_LOCK}"):
            with suppress(OSError), lock.open("rb") as other:  # fails if that server runs
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=root))
        held = (folder / _LOCK).open("xb")
    except OSError as error:
        raise StartError(
            f"Several processes need the folder {root} for what they share: {error.strerror}. Make "
            "room or make it writable, or start with --processes 1."
        ) from error
    with held:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

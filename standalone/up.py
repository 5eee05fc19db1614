"""The processes that serve HTTP: everything in one (`up`), or only the API."""

import errno
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

import migrations
from service.app import create_app
from service.hosts import is_loopback
from service.listen.shares import Share
from service.listen.tls import Certificate, CertificateError
from service.server import Server
from service.settings import ServiceSettings
from service.shared import Shared
from standalone.log_batches import in_batches
from standalone.process import StartError, open_store, told_to_stop
from store.access import keys
from store.queue import LocalQueue, Queue
from store.store import Store
from workers.settings import WorkerSettings
from workers.slots.local import LocalWorker
from workers.slots.sweep import Sweeper

if TYPE_CHECKING:
    from service.limits.shared_buckets import SharedBuckets

logger = logging.getLogger(__name__)

GRACE_SECONDS = 5  # for requests in flight when the process is told to stop
BACKLOG = 2048
OFF = (
    "Keys are off (NMTUNE_AUTH=off), so everybody who reaches this server may read, change and "
    "delete everything."
)
NO_KEYS = (
    "\nEvery request needs a key, and there is none yet: nmtune-server keys create NAME --scopes "
    "admin, with the same settings."
)
STARTING = (
    "Updating the database and loading libraries takes seconds, or up to a minute the first time. "
    "A line will say when the server is ready."
)


def up(service: ServiceSettings, workers: WorkerSettings) -> None:
    """Run API, worker and sweep in this process until it must stop."""
    certificate = certificate_of(service)
    with listening(service) as listener:
        logger.info("server.starting %s", STARTING)
        migrations.upgrade(service.database_url)
        with open_store(service, writes_alone=True) as store:
            queue = LocalQueue()
            worker = LocalWorker(store, queue, workers)
            worker.start()
            try:
                shared = Shared()
                ready = ready_line(service, listener, store, shared, everything=True)
                serve(
                    service,
                    listener,
                    store,
                    queue,
                    shared,
                    lambda: print(ready, flush=True),
                    certificate=certificate,
                )
            finally:
                worker.stop()


def api(service: ServiceSettings, workers: WorkerSettings) -> None:
    """Run only the API. It sweeps too, so that jobs of dead workers move on."""
    certificate = certificate_of(service)
    with (
        listening(service) as listener,
        open_store(service) as store,
        doorbell(store, workers) as queue,
        sweeping(store, queue, workers),
    ):
        shared = Shared()
        ready = ready_line(service, listener, store, shared, everything=False)
        serve(
            service,
            listener,
            store,
            queue,
            shared,
            lambda: print(ready, flush=True),
            certificate=certificate,
            shared_buckets=shared_buckets_of(workers),
        )


@contextmanager
def sweeping(store: Store, queue: Queue, settings: WorkerSettings) -> Iterator[None]:
    """Sweep while the block runs, for jobs of workers that died."""
    sweeper = Sweeper(
        store,
        queue,
        poll_seconds=settings.poll_seconds,
        lease_seconds=settings.lease_seconds,
        job_files_days=settings.job_files_days,
        audit_days=settings.audit_days,
    )
    sweeper.start()
    try:
        yield
    finally:
        sweeper.stop()


@contextmanager
def doorbell(store: Store, settings: WorkerSettings) -> Iterator[Queue]:
    """The broker's doorbell, or without a broker one that nobody hears: workers poll."""
    if settings.broker_url is None:
        yield LocalQueue()
        return
    from workers.doorbell.app import make_app
    from workers.doorbell.queue import CeleryQueue

    queue = CeleryQueue(make_app(settings.broker_url.get_secret_value()), store)
    queue.start()
    try:
        yield queue
    finally:
        queue.stop()


def shared_buckets_of(settings: WorkerSettings) -> "SharedBuckets | None":
    """What the keys' rates are counted in by all processes, if the broker is a Redis."""
    url = None if settings.broker_url is None else settings.broker_url.get_secret_value()
    if url is None or not url.startswith(("redis://", "rediss://")):
        return None
    from service.limits.shared_buckets import SharedBuckets

    try:
        return SharedBuckets(url)
    except ValueError as error:
        logger.warning("limits.not_shared each process counts rates by itself: %s", error)
        return None


def serve(
    settings: ServiceSettings,
    listener: socket.socket,
    store: Store,
    queue: Queue,
    shared: Shared,
    on_ready: Callable[[], None],
    *,
    certificate: Certificate | None,
    share: Share | None = None,
    shared_buckets: "SharedBuckets | None" = None,
) -> None:
    """Serve the API until SIGTERM or Ctrl-C; `on_ready` is called once it answers.

    share: of the connections, if other processes serve on the same socket.
    """
    app = create_app(
        settings,
        store=store,
        queue=queue,
        expected_schema=migrations.head_revision(),
        check_broker=getattr(queue, "ping", None),  # only a broker's doorbell has it
        shared=shared,
        shared_buckets=shared_buckets,
    )
    config = uvicorn.Config(
        app,
        lifespan="on",
        access_log=False,
        log_config=None,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    stopping = app.state.services.stopping
    # uvicorn raises the signal again at its end, which would kill us before our own cleanup.
    server = _Server(
        config,
        settings,
        stopping=stopping,
        certificate=certificate,
        on_ready=on_ready,
        share=share,
    )
    with told_to_stop(stopping), in_batches():
        server.run(sockets=[listener])
    if not server.started:
        raise StartError("The API did not start. The log above has the reason.")


def ready_line(
    settings: ServiceSettings,
    listener: socket.socket,
    store: Store,
    shared: Shared,
    *,
    everything: bool,
) -> str:
    """What to print once the server answers; where keys are on, `up` prints a link to sign in."""
    title = "NMTune" if everything else "NMTune API"
    scheme = "http" if settings.tls_cert is None else "https"
    ready = f"{title} is ready at {_url(listener, scheme)} (docs at /docs). {_state(settings)}"
    if settings.keys_on:
        ready += _about_keys(store)
        if everything:
            code = shared.login_links.new_code()
            here = _local_url(listener, scheme)
            ready += f"\nSign in once, within 10 minutes: {here}/ui/login#{code}"
    elif not is_loopback(settings.host):
        logger.warning("access.off %s", OFF)
    return ready


def _about_keys(store: Store) -> str:
    with store.database.read() as tx:
        has_keys = keys.any_made(tx)
    return "" if has_keys else NO_KEYS


def _state(settings: ServiceSettings) -> str:
    folder = settings.data_dir
    has_all = (
        settings.database_url == f"sqlite:///{folder / 'nmtune.db'}"
        and settings.artifacts_url is None
        and settings.artifacts_dir.is_relative_to(folder)
    )
    what = "All state is in" if has_all else "Local files are in"
    return f"{what} {folder}. It is safe to kill at any time."


class _Server(Server):
    """Says when it answers."""

    def __init__(
        self,
        config: uvicorn.Config,
        settings: ServiceSettings,
        *,
        stopping: threading.Event,
        certificate: Certificate | None,
        on_ready: Callable[[], None],
        share: Share | None,
    ) -> None:
        super().__init__(
            config,
            stopping=stopping,
            certificate=certificate,
            header_seconds=settings.header_seconds,
            max_connections=settings.max_connections,
            share=share,
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self._stopping.is_set():  # the signal came before uvicorn's handlers
            self.should_exit = True
        elif self.started:
            self._on_ready()


@contextmanager
def listening(settings: ServiceSettings) -> Iterator[socket.socket]:
    """The socket to serve on, opened before anything else."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server(
            (settings.host, settings.port), family=family, backlog=BACKLOG
        )
    except OSError as error:
        place = f"{settings.host}:{settings.port}"
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"Port {settings.port} is in use, maybe by another nmtune-server. Stop it, or "
                "choose another port with --port (0 lets the system choose)."
            ) from error
        raise StartError(f"Cannot listen on {place}: {error.strerror or error}.") from error
    with listener:
        yield listener


def certificate_of(settings: ServiceSettings) -> Certificate | None:
    """What TLS is spoken with, read before anything else; None for plain HTTP."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    try:
        return Certificate(settings.tls_cert, settings.tls_key)
    except CertificateError as error:
        raise StartError(str(error)) from error


def _url(listener: socket.socket, scheme: str) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _local_url(listener: socket.socket, scheme: str) -> str:
    """Where this machine's own browser reaches it: browsers keep a session over http only there."""
    url = _url(listener, scheme)
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")

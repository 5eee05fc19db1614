"""The home of `create_app`, which puts the HTTP door together; importing it does nothing."""

import gc
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI
from starlette.middleware import Middleware

from nmtune.version import __version__
from service import docs_page, errors
from service.gate import Gate
from service.guards import BodyLimit, RequestLog
from service.head_requests import HeadRequests
from service.hosts import Hosts
from service.metrics import RequestMetrics
from service.oip.errors import ProtocolErrors
from service.openapi import DocumentedAPI, problems
from service.predict.aliased_heads import AliasedHeads
from service.predict.door import BodyBudget, PredictDoor
from service.predict.drift_recorder import DriftRecorder
from service.predict.predictor import Predictor
from service.predict.texts import TextPredictor
from service.predict.warming import Warming
from service.readiness import Readiness
from service.routes import (
    dataset_expiry,
    datasets,
    drift,
    events,
    exports,
    heads,
    health,
    jobs,
    oip,
    pages,
    predict,
    predictions,
    provider_keys,
    uploads,
)
from service.schemas.oip import oip_errors
from service.scrape import Scrape
from service.settings import ServiceSettings, available_cores
from store.queue import Queue
from store.store import Store

DESCRIPTION = """\
Tunes small heads on the frozen embeddings of a foundation model, compares them in and out of
domain, and serves predictions.

Send labelled embeddings to `POST /jobs`, follow the job, read its report, then ask `/predict`.
Every answer that is no success has the one body `Problem`; its `code` is stable.
"""


def create_app(
    settings: ServiceSettings,
    *,
    store: Store,
    queue: Queue,
    expected_schema: str | None = None,
    check_broker: Callable[[], object] | None = None,
) -> FastAPI:
    """The API over `store`, ringing `queue` for each new job.

    Args:
        settings: names, limits and paces; listening itself is the server's business.
        store: rows and bytes; its owner closes it.
        queue: the doorbell for workers.
        expected_schema: the revision that the database must be at to be ready; None: any.
        check_broker: raises if the broker does not answer; /readyz then warns. None: no broker.

    `app.state.stopping` is an Event that ends open event streams and waits when it is set.
    """
    recorder = (
        DriftRecorder(store, flush_seconds=settings.drift_flush_seconds)
        if settings.drift == "on"
        else None
    )
    predictor = Predictor(
        store,
        max_cache_bytes=settings.head_cache_bytes,
        max_rows=settings.max_predict_rows,
        n_threads=settings.predict_threads or available_cores(),
        max_waiting=settings.predict_queue,
        fresh_seconds=settings.predict_reference_seconds,
        recorder=recorder,
    )
    text_predictor = TextPredictor(store, settings)
    app = DocumentedAPI(
        title="NMTune",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        lifespan=_lifespan,
        middleware=[
            Middleware(ProtocolErrors),
            Middleware(RequestMetrics),
            Middleware(RequestLog),
            Middleware(
                Gate, hosts=Hosts(listening_on=settings.host, allowed=settings.allowed_hosts)
            ),
            Middleware(
                BodyLimit,
                max_json_bytes=settings.max_json_bytes,
                max_upload_bytes=settings.max_upload_bytes,
                upload_paths=["/datasets", "/uploads/"],
                seconds=settings.body_seconds,
                bytes_per_second=settings.body_bytes_per_second,
            ),
            Middleware(
                PredictDoor,
                predictor=predictor,
                text_predictor=text_predictor,
                route=predict.POST_ROUTE,
                max_body_bytes=settings.predict_body_bytes,
            ),
            Middleware(HeadRequests),
        ],
    )
    app.state.settings = settings
    app.state.store = store
    app.state.queue = queue
    app.state.stopping = threading.Event()
    app.state.predictor = predictor
    app.state.aliased_heads = AliasedHeads(store, predictor)
    app.state.oip_bodies = BodyBudget(settings.predict_body_bytes)
    app.state.scrape = Scrape(store, predictor.cache)
    app.state.text_predictor = text_predictor
    app.state.readiness = Readiness(
        store,
        expected_schema=expected_schema,
        check_broker=check_broker,
        head_trouble=predictor.trouble,
    )
    errors.install(app)
    docs_page.install(app)
    for module in (
        datasets,
        dataset_expiry,
        uploads,
        jobs,
        predictions,
        events,
        heads,
        exports,
        drift,
        predict,
        provider_keys,
    ):
        app.include_router(module.router, responses=problems(422, 500, 503))
    app.include_router(pages.router)
    app.include_router(oip.router, responses=oip_errors(422, 500))
    app.include_router(health.router, responses=problems(500))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: ServiceSettings = app.state.settings
    to_thread.current_default_thread_limiter().total_tokens = settings.threads
    warming = Warming(app.state.store)
    await to_thread.run_sync(warming.start)
    # What lives as long as the process is not looked through by each garbage collection.
    gc.collect()
    gc.freeze()
    app.state.aliased_heads.start()
    yield
    gc.unfreeze()
    app.state.stopping.set()
    warming.close()
    app.state.aliased_heads.stop()
    app.state.text_predictor.close()
    app.state.predictor.close()

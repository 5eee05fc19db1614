"""Build the HTTP API: `create_app` puts its parts together. Importing this does nothing."""

import asyncio
import gc
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from anyio import to_thread
from fastapi import Depends, FastAPI
from starlette.middleware import Middleware

import service.access.key_routes
import service.access.session_routes
import service.audit.routes
import service.datasets.revision_routes
import service.datasets.routes
import service.encoders.routes
import service.export.routes
import service.heads.adaptation_routes
import service.heads.drift
import service.heads.routes
import service.heads.selection_routes
import service.job_rows.routes
import service.jobs.events
import service.jobs.publication
import service.jobs.routes
import service.limits.routes
import service.migration.routes
import service.oip.routes
import service.operate.health
import service.predict.routes
import service.predictions.routes
import service.providers.routes
import service.ui.routes
import service.uploads.routes
import service.webhooks.delivery_routes
import service.webhooks.routes
from nmtune.version import __version__
from service.access.openid import OpenId
from service.access.who import Access
from service.front import Front
from service.hosts import Hosts
from service.http import docs_page, errors
from service.http.layers.bodies import BodyLimits
from service.http.layers.gate import Gate
from service.http.layers.head_requests import HeadRequests
from service.http.openapi import DocumentedAPI, problems
from service.http.unknown_parameters import refuse_unknown_parameters
from service.limits.limiter import Limiter
from service.oip.door import InferDoor
from service.oip.schemas import oip_errors
from service.operate.health import OperateServices
from service.operate.readiness import Readiness
from service.operate.scrape import Scrape
from service.predict.aliased_heads import AliasedHeads
from service.predict.door import PredictDoor
from service.predict.drift_recorder import DriftRecorder
from service.predict.intake import BodyBudget
from service.predict.predictor import Predictor
from service.predict.texts import TextPredictor
from service.predict.warming import Warming
from service.settings import ServiceSettings, available_cores
from service.shared import Shared
from store.queue import Queue
from store.store import Store

if TYPE_CHECKING:
    from service.limits.shared_buckets import SharedBuckets

DESCRIPTION = """\
Tunes small heads on the frozen embeddings of a foundation model, compares them in and out of
domain, and serves predictions.

Send labelled embeddings to `POST /jobs`, follow the job, read its report, then ask `/predict`.
Every answer that is not a success has the one body `Problem`; its `code` is stable.
"""


def create_app(
    settings: ServiceSettings,
    *,
    store: Store,
    queue: Queue,
    expected_schema: str | None = None,
    check_broker: Callable[[], object] | None = None,
    shared: Shared | None = None,
    shared_buckets: "SharedBuckets | None" = None,
) -> FastAPI:
    """The API over `store`, ringing `queue` for each new job.

    Args:
        settings: names, limits and intervals; the server does the listening.
        store: rows and bytes; its owner closes it.
        queue: the doorbell for workers.
        expected_schema: the database revision that readiness needs; None: any.
        check_broker: raises if the broker does not answer, of which /readyz warns. None: no broker.
        shared: what it has in common with the server's other processes. None: there are none.
        shared_buckets: what a key has left, for all processes. None: each has its own buckets.

    `app.state.services` holds the `OperateServices`: all that lives as long as the application;
    `app.state.access` the `Access`: who may do what; `app.state.limiter` the `Limiter`: how much.
    """
    shared = shared or Shared()
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
        heads_folder=shared.heads_folder,
    )
    services = OperateServices(
        settings=settings,
        store=store,
        queue=queue,
        predictor=predictor,
        text_predictor=TextPredictor(store, settings),
        bodies=BodyBudget(settings.predict_body_bytes),
        scrape=Scrape(store, folder=shared.metrics_folder),
        readiness=Readiness(
            store,
            expected_schema=expected_schema,
            check_broker=check_broker,
            head_trouble=predictor.trouble,
        ),
    )
    openid = None if settings.openid is None else OpenId(settings.openid)
    access = Access(
        store,
        keys_on=settings.keys_on,
        openid=openid,
        guesses=shared.guesses,
        login_links=shared.login_links,
    )
    limiter = Limiter(
        store,
        settings.limits,
        burst_seconds=settings.limit_burst_seconds,
        flush_seconds=settings.usage_flush_seconds,
        shared=shared_buckets,
    )
    app = DocumentedAPI(
        title="NMTune",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        openapi_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        lifespan=_lifespan,
        middleware=[Middleware(HeadRequests)],
    )
    app.front = Front(
        app.route_request,
        gate=Gate(Hosts(listening_on=settings.host, allowed=settings.allowed_hosts)),
        access=access,
        limiter=limiter,
        limits=BodyLimits(
            max_json_bytes=settings.max_json_bytes,
            max_upload_bytes=settings.max_upload_bytes,
            upload_paths=re.compile("/datasets(/[^/]+/rows)?|/uploads/.*"),
            seconds=settings.body_seconds,
            bytes_per_second=settings.body_bytes_per_second,
        ),
        doors=[
            PredictDoor(
                predictor=predictor,
                text_predictor=services.text_predictor,
                bodies=services.bodies,
                route=service.predict.routes.POST_ROUTE,
            ),
            InferDoor(
                predictor=predictor,
                bodies=services.bodies,
                route=service.oip.routes.INFER_ROUTE,
                versions=service.oip.routes.INFER_VERSION_ROUTE,
            ),
        ],
    )
    app.state.services = services
    app.state.access = access
    app.state.limiter = limiter
    errors.install(app)
    docs_page.install(app)
    refuse_unknown = Depends(refuse_unknown_parameters)
    for routes in (
        service.datasets.routes,
        service.encoders.routes,
        service.datasets.revision_routes,
        service.uploads.routes,
        service.jobs.routes,
        service.job_rows.routes,
        service.predictions.routes,
        service.jobs.events,
        service.jobs.publication,
        service.heads.routes,
        service.heads.adaptation_routes,
        service.migration.routes,
        service.heads.selection_routes,
        service.export.routes,
        service.heads.drift,
        service.predict.routes,
        service.providers.routes,
        service.access.key_routes,
        service.access.session_routes,
        service.audit.routes,
        service.limits.routes,
        service.webhooks.routes,
        service.webhooks.delivery_routes,
    ):
        app.include_router(
            routes.router, responses=problems(422, 429, 500, 503), dependencies=[refuse_unknown]
        )
    app.include_router(service.ui.routes.router)
    app.include_router(
        service.oip.routes.router,
        responses=oip_errors(422, 429, 500),
        dependencies=[refuse_unknown],
    )
    app.include_router(service.operate.health.router, responses=problems(500))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: OperateServices = app.state.services
    to_thread.current_default_thread_limiter().total_tokens = services.settings.threads
    warming, aliased_heads = (
        Warming(services.store),
        AliasedHeads(services.store, services.predictor),
    )
    await to_thread.run_sync(warming.start)
    # Let garbage collections skip what lives as long as the process.
    gc.collect()
    gc.freeze()
    aliased_heads.start()
    app.state.limiter.start()
    noting = asyncio.create_task(services.scrape.keep_noting())
    yield
    noting.cancel()
    gc.unfreeze()
    services.stopping.set()
    warming.close()
    aliased_heads.stop()
    if (openid := app.state.access.openid) is not None:
        openid.close()
    services.text_predictor.close()
    services.predictor.close()
    await app.state.limiter.close()

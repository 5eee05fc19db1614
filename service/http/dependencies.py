"""The home of what routes ask for by type: the store, the queue, the settings, the tenant."""

from typing import Annotated

from fastapi import Depends, Request

from service.http.tenant import tenant_of
from service.settings import ServiceSettings
from store.queue import Queue
from store.store import Store


# Each is `async` so that FastAPI calls it at once instead of through a thread.
async def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


async def _queue(request: Request) -> Queue:
    queue: Queue = request.app.state.queue
    return queue


async def _settings(request: Request) -> ServiceSettings:
    settings: ServiceSettings = request.app.state.settings
    return settings


async def _tenant(request: Request) -> str:
    return tenant_of(request.scope)


StoreDep = Annotated[Store, Depends(_store)]
QueueDep = Annotated[Queue, Depends(_queue)]
SettingsDep = Annotated[ServiceSettings, Depends(_settings)]
TenantDep = Annotated[str, Depends(_tenant)]

"""The home of what routes ask for by type: the store, the queue, the settings, the tenant."""

from typing import Annotated

from fastapi import Depends, Request

from service.settings import ServiceSettings
from store.names import DEFAULT_TENANT
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


async def _tenant() -> str:
    """The owner of all that the request may see and make; there is one until keys exist."""
    return DEFAULT_TENANT


StoreDep = Annotated[Store, Depends(_store)]
QueueDep = Annotated[Queue, Depends(_queue)]
SettingsDep = Annotated[ServiceSettings, Depends(_settings)]
TenantDep = Annotated[str, Depends(_tenant)]

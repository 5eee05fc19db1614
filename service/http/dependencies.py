"""What routes ask for by type: the services, the store, the queue, the settings, the tenant."""

from typing import Annotated

from fastapi import Depends, Request

from service.http.services import Services
from service.http.tenant import tenant_of
from service.settings import ServiceSettings
from store.queue import Queue
from store.store import Store


# Each is `async` so that FastAPI calls it directly instead of in a thread.
async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]


async def _store(services: ServicesDep) -> Store:
    return services.store


async def _queue(services: ServicesDep) -> Queue:
    return services.queue


async def _settings(services: ServicesDep) -> ServiceSettings:
    return services.settings


async def _tenant(request: Request) -> str:
    return tenant_of(request.scope)


StoreDep = Annotated[Store, Depends(_store)]
QueueDep = Annotated[Queue, Depends(_queue)]
SettingsDep = Annotated[ServiceSettings, Depends(_settings)]
TenantDep = Annotated[str, Depends(_tenant)]

"""What routes ask for by type: the services, the store, the queue, the settings, who asks."""

from typing import Annotated

from fastapi import Depends, Request

from service.http.identity import Identity, actor_of, identity_of, tenant_of
from service.http.services import Services
from service.settings import ServiceSettings
from store.access.audit import Actor
from store.queue import Queue
from store.store import Store


def services_of(request: Request) -> Services:
    """The services of the application that serves the request."""
    services: Services = request.app.state.services
    return services


# Each is `async` so that FastAPI calls it directly instead of in a thread, and takes only the
# request, because a dependency of a dependency would cost every request some microseconds.
async def _services(request: Request) -> Services:
    return services_of(request)


async def _store(request: Request) -> Store:
    return services_of(request).store


async def _queue(request: Request) -> Queue:
    return services_of(request).queue


async def _settings(request: Request) -> ServiceSettings:
    return services_of(request).settings


async def _tenant(request: Request) -> str:
    return tenant_of(request.scope)


async def _identity(request: Request) -> Identity:
    return identity_of(request.scope)


async def _actor(request: Request) -> Actor:
    return actor_of(request.scope)


ActorDep = Annotated[Actor, Depends(_actor)]
"""Who acts: a route that changes anything gives it to `audit.note`, in the act's transaction."""
ServicesDep = Annotated[Services, Depends(_services)]
StoreDep = Annotated[Store, Depends(_store)]
QueueDep = Annotated[Queue, Depends(_queue)]
SettingsDep = Annotated[ServiceSettings, Depends(_settings)]
IdentityDep = Annotated[Identity, Depends(_identity)]
TenantDep = Annotated[str, Depends(_tenant)]

"""The fault server, and a provider that asks it."""

from collections.abc import Callable, Iterator

import pytest

from providers import catalogue
from providers.pool import Providers
from providers.provider import Provider
from tests.servers.fault_server import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def open_provider(server: Server) -> Iterator[Callable[..., Provider]]:
    with Providers(allowed=[server.host]) as providers:

        def open_(*, key: str | None = None, dimensions: int | None = None) -> Provider:
            encoder = catalogue.resolve(
                "openai-compatible",
                model="toy",
                base_url=server.url,
                dimensions=dimensions,
                allowed=providers.allowed,
            )
            return providers.open(encoder, lambda origin: key)

        yield open_


@pytest.fixture
def provider(open_provider: Callable[..., Provider]) -> Provider:
    return open_provider()

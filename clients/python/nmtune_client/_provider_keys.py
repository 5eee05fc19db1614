"""Home of `client.provider_keys`, of either client."""

from nmtune_client import _calls
from nmtune_client._http.wire import AsyncSender, Sender
from nmtune_client._show.reprs import OfClient


class ProviderKeys(OfClient):
    """The keys for embedding providers that the server keeps for you; it never shows them."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def set(self, origin: str, key: str) -> None:
        """Store a key, for a provider by name (`openai`) or an origin (`https://host`)."""
        self._sender.send(_calls.set_provider_key(origin, key))

    def list(self) -> list[str]:
        """The origins for which keys are stored."""
        return self._sender.send(_calls.list_provider_keys())

    def delete(self, origin: str) -> None:
        """Forget a key."""
        self._sender.send(_calls.delete_provider_key(origin))


class AsyncProviderKeys(OfClient):
    """The keys for embedding providers that the server keeps for you; it never shows them."""

    def __init__(self, sender: AsyncSender) -> None:
        self._sender = sender

    async def set(self, origin: str, key: str) -> None:
        """Store a key, for a provider by name (`openai`) or an origin (`https://host`)."""
        await self._sender.send(_calls.set_provider_key(origin, key))

    async def list(self) -> list[str]:
        """The origins for which keys are stored."""
        return await self._sender.send(_calls.list_provider_keys())

    async def delete(self, origin: str) -> None:
        """Forget a key."""
        await self._sender.send(_calls.delete_provider_key(origin))

"""`client.provider_keys`: keys that the server keeps for embedding providers."""

from nmtune_client._async.sender import AsyncSender
from nmtune_client._provider_keys import delete_provider_key, list_provider_keys, set_provider_key
from nmtune_client._show.reprs import OfClient


class AsyncProviderKeys(OfClient):
    """The keys for embedding providers that the server keeps for you; it never shows them."""

    def __init__(self, sender: AsyncSender) -> None:
        self._sender = sender

    async def set(self, origin: str, key: str) -> None:
        """Store a key, for a provider by name (`openai`) or an origin (`https://host`)."""
        await self._sender.send(set_provider_key(origin, key))

    async def list(self) -> list[str]:
        """The origins for which keys are stored."""
        return await self._sender.send(list_provider_keys())

    async def delete(self, origin: str) -> None:
        """Delete a key."""
        await self._sender.send(delete_provider_key(origin))

# Written by generate_sync.py out of _async/provider_keys.py: edit that file, then run the script.
"""`client.provider_keys`: keys that the server keeps for embedding providers."""

from nmtune_client._provider_keys import delete_provider_key, list_provider_keys, set_provider_key
from nmtune_client._show.reprs import OfClient
from nmtune_client._sync.sender import Sender


class ProviderKeys(OfClient):
    """The keys for embedding providers that the server keeps for you; it never shows them."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def set(self, origin: str, key: str) -> None:
        """Store a key, for a provider by name (`openai`) or an origin (`https://host`)."""
        self._sender.send(set_provider_key(origin, key))

    def list(self) -> list[str]:
        """The origins for which keys are stored."""
        return self._sender.send(list_provider_keys())

    def delete(self, origin: str) -> None:
        """Delete a key."""
        self._sender.send(delete_provider_key(origin))

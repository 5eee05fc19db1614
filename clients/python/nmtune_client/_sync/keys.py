# Written by generate_sync.py out of _async/keys.py: edit that file, then run the script.
"""`client.keys`: keys of the API."""

from collections.abc import Iterator, Sequence

from nmtune_client._keys.calls import create_key, get_key, list_keys, revoke_key, rotate_key
from nmtune_client._keys.rows import KEY_HEADER, key_row
from nmtune_client._keys.values import ApiKey, NewApiKey
from nmtune_client._show.reprs import OfClient
from nmtune_client._sync.concurrency import listing
from nmtune_client._sync.paging import paged
from nmtune_client._sync.sender import Sender

_DAY = 86_400


class Keys(OfClient):
    """Keys of the API, for whoever has the scope `admin`."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def create(
        self,
        name: str,
        *,
        scopes: Sequence[str],
        heads: Sequence[str] | None = None,
        expires_in_seconds: float | None = 90 * _DAY,
    ) -> NewApiKey:
        """Make a key; its `key` is shown this once.

        scopes: of `predict`, `read`, `write`, `admin`; each holds those before it. heads: the only
        ones that a key of the scope `predict` is good for. expires_in_seconds: None is never.
        """
        if isinstance(scopes, str):
            scopes = [scopes]
        call = create_key(name, scopes, heads=heads, expires_in_seconds=expires_in_seconds)
        return self._sender.send(call)

    def list(self, *, limit: int | None = None) -> Iterator[ApiKey]:
        """All keys, newest first, ended ones too."""
        keys = paged(
            self._sender, lambda cursor, size: list_keys(cursor=cursor, limit=size), limit=limit
        )
        return listing(keys, header=KEY_HEADER, row=key_row)

    def get(self, key_id: str) -> ApiKey:
        """What is known of one key."""
        return self._sender.send(get_key(key_id))

    def rotate(self, key_id: str, *, overlap_seconds: int = _DAY) -> NewApiKey:
        """Make a key with the same rights; the old one ends after the overlap, 7 days at most."""
        return self._sender.send(rotate_key(key_id, overlap_seconds=overlap_seconds))

    def revoke(self, key_id: str, *, force: bool = False) -> ApiKey:
        """End a key now. force: even if it is the last one with the scope `admin`."""
        return self._sender.send(revoke_key(key_id, force=force))

"""The pool of connections to providers: an encoder and a key become a provider to ask."""

from collections.abc import Callable, Iterable
from typing import Self

from outbound.sockets import GuardedBackend
from providers import catalogue, keys
from providers.base_url import parse_base_url
from providers.encoder import Encoder
from providers.errors import KeyMissing
from providers.http.exchange import Exchange
from providers.http.provider import HttpProvider
from providers.local import minilm
from providers.provider import Provider

FindKey = Callable[[str], str | None]
"""Looks up the key of an origin, if there is one."""


class Providers:
    """The connections of one process to all providers; safe among threads."""

    def __init__(
        self, *, allowed: Iterable[tuple[str, int]] = (), stores_keys: bool = True
    ) -> None:
        """`allowed` are the operator's (host, port) pairs beyond the public internet.

        `stores_keys`: whether users may store keys, for the message when a key is missing.
        """
        self.allowed = frozenset(allowed)
        self._stores_keys = stores_keys
        self._exchange = Exchange(GuardedBackend(self.allowed))

    def open(self, encoder: Encoder, find_key: FindKey, *, has_answered: bool = False) -> Provider:
        """The provider of an encoder that `catalogue.resolve` made.

        `has_answered`: whether it did before; a name that leads nowhere may then come back.
        Raises InvalidProvider if the operator no longer allows its host, KeyMissing, NotInstalled.
        """
        if encoder.base_url is None:
            return minilm.LocalMiniLM(encoder)
        entry = catalogue.ENTRIES[encoder.provider]
        base_url = parse_base_url(encoder.base_url, self.allowed)
        key = find_key(base_url.origin)
        if key is None and entry.needs_key:
            raise KeyMissing(keys.missing(base_url.origin, stores_keys=self._stores_keys))
        return HttpProvider(
            encoder,
            entry.limits,
            dialect=entry.dialect,
            base_url=base_url,
            key=key,
            exchange=self._exchange,
            is_vouched=has_answered or catalogue.is_own(encoder.provider, base_url),
        )

    def close(self) -> None:
        """Close the connections."""
        self._exchange.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""The pool of connections to providers: an encoder and a key become a provider to ask."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Self

from outbound.sockets import GuardedBackend
from providers import catalogue, keys
from providers.base_url import parse_base_url
from providers.encoder import Encoder
from providers.errors import InvalidProvider, KeyMissing
from providers.http.exchange import Exchange
from providers.http.provider import HttpProvider
from providers.local import minilm
from providers.local.provider import LocalEncoder
from providers.local.shelf import Shelf
from providers.provider import Provider

ReadHead = Callable[[], bytes]

FindKey = Callable[[str], str | None]
"""Looks up the key of an origin, if there is one."""

FindStored = Callable[[str], Path | None]
"""Looks up the archive of a local encoder by its sha256, if there is one."""


class Providers:
    """The connections of one process to all providers; safe among threads."""

    def __init__(
        self,
        *,
        allowed: Iterable[tuple[str, int]] = (),
        stores_keys: bool = True,
        encoders_dir: Path | None = None,
    ) -> None:
        """`allowed` are the operator's (host, port) pairs beyond the public internet.

        `encoders_dir`: the operator's local encoders.

        `stores_keys`: whether users may store keys, for the message when a key is missing.
        """
        self.allowed = frozenset(allowed)
        self._stores_keys = stores_keys
        self._shelf = Shelf(encoders_dir)
        self._exchange = Exchange(GuardedBackend(self.allowed))

    def open(
        self,
        encoder: Encoder,
        find_key: FindKey,
        *,
        has_answered: bool = False,
        read_head: ReadHead | None = None,
        find_stored: FindStored = lambda _: None,
    ) -> Provider:
        """The provider of an encoder that `catalogue.resolve` made.

        `has_answered`: whether it did before; a name that leads nowhere may then come back.
        `find_stored`: looks up a local encoder that is not in the operator's directory.
        `read_head`: reads the bytes of the head that keeps the encoder's adapter, if it has one.
        Raises InvalidProvider if the operator no longer allows its host, or a local encoder is no
        longer there, InvalidEncoder, KeyMissing, NotInstalled.
        """
        if encoder.base_url is None:
            catalogue.check_installed(encoder)
            find_place = partial(self.place, find_stored)
            if encoder.adapter is None or read_head is None:
                return LocalEncoder(encoder, find_place)
            from providers.local.adapter import AdaptedEncoder  # numpy, scipy and safetensors

            return AdaptedEncoder(encoder, find_place, read_head)
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

    def place(self, find_stored: FindStored, encoder: Encoder) -> Path:
        """Where the files of a local encoder are."""
        if encoder.sha256 is None:
            return minilm.place()
        is_on_shelf = self._shelf.sha256(encoder.model) == encoder.sha256
        place = self._shelf.find(encoder.model) if is_on_shelf else find_stored(encoder.sha256)
        if place is None:
            raise InvalidProvider(
                f"The encoder {encoder.model} is no longer here with the files of then (sha256 "
                f"{encoder.sha256[:12]}...). Add the same files again.",
                field="model",
            )
        return place

    def close(self) -> None:
        """Close the connections."""
        self._exchange.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

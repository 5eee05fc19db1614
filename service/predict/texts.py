"""Predict from texts: embed them with the head's own provider, within a time limit."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from anyio import CapacityLimiter, move_on_after, to_thread
from numpy.typing import NDArray

from providers import embedder, probe_texts, truncation
from providers.embedder import Patience
from providers.encoder import Encoder
from providers.errors import EncoderChanged, ProviderError, ProviderUnavailable
from providers.pace import Stopped
from providers.pool import Providers
from service.http.errors import Problem
from service.predict.predictor import Predictor
from service.providers import access
from service.settings import ServiceSettings
from store.registry.heads import HeadVersion
from store.store import Store

RECOGNISED_SECONDS: Final = 3600.0
"""How long a recognised encoder is assumed to be unchanged."""

_FIRST_PAUSE_SECONDS: Final = 0.2


class Embedded(NamedTuple):
    """Texts as embeddings, for one head version."""

    reference: str
    """The version's own. Use it to predict: if an alias moves meanwhile, these vectors must not go
    to a head of another encoder."""
    x: NDArray[np.float32]
    """(n, d)."""
    class_shares: dict[str, float] | None
    """Those of the alias that was asked for, which the version's own reference does not have."""
    n_tokens: int
    """The tokens that the provider counted."""


class TextPredictor:
    """Embeds texts for heads that were trained on texts; thread-safe.

    At most `predict_text_slots` requests do so at once, in separate threads: a slow provider must
    not take threads from requests that need no provider.
    """

    def __init__(self, store: Store, settings: ServiceSettings) -> None:
        self._store = store
        self._settings = settings
        self._providers = Providers(
            allowed=settings.provider_hosts,
            stores_keys=settings.secret_key is not None,
            encoders_dir=settings.encoders_dir,
        )
        self._limiter: CapacityLimiter | None = None  # made in the event loop
        self._recognised: dict[str, float] = {}

    @property
    def max_texts(self) -> int:
        """The most texts of one request."""
        return self._settings.max_predict_texts

    def close(self) -> None:
        """Close the connections to providers."""
        self._providers.close()

    async def embed(
        self,
        predictor: Predictor,
        tenant_id: str,
        reference: str,
        texts: Sequence[str],
        *,
        first_row: int = 0,
    ) -> Embedded:
        """The texts' embeddings for the head `reference`, and how to ask it about them.

        first_row: where in the request the texts begin, if they are a piece of its texts.

        Raises:
            Problem: the head does not read texts.
            ProviderError: the provider refuses, is away, too slow, or embeds differently than
            before. And what `Predictor.serving` raises.
        """
        seconds = self._settings.predict_text_seconds
        deadline = time.monotonic() + seconds
        version = (await predictor.serving(tenant_id, reference)).version
        if version.encoder is None:
            raise Problem(
                422,
                "text_not_supported",
                "This head was trained on embeddings and cannot read text. Embed the text with the "
                "model that made the training embeddings, and send the embedding.",
                field="text",
            )
        if self._limiter is None:
            self._limiter = CapacityLimiter(self._settings.predict_text_slots)
        # Only the wait for a slot can be cancelled; the thread keeps the deadline itself.
        with move_on_after(seconds):
            embed = partial(self._embed, tenant_id, version, texts, deadline, first_row)
            x, n_tokens = await to_thread.run_sync(embed, limiter=self._limiter)
            return Embedded(f"{version.name}@{version.version}", x, version.class_shares, n_tokens)
        raise _too_slow()

    def _embed(
        self,
        tenant_id: str,
        version: HeadVersion,
        texts: Sequence[str],
        deadline: float,
        first_row: int,
    ) -> tuple[NDArray[np.float32], int]:
        """The texts' embeddings (n, d), by the encoder of the head, and the tokens paid."""
        known: dict[str, Any] = version.encoder or {}
        encoder = Encoder.from_dict(known)
        provider = self._providers.open(
            encoder.whole,
            lambda origin: access.find_key(
                origin, tenant_id=tenant_id, store=self._store, settings=self._settings
            ),
            has_answered=True,  # when the head was trained
            read_head=lambda: self._store.artifacts.get_bytes(tenant_id, version.sha256),
            find_stored=partial(access.stored_place, tenant_id=tenant_id, store=self._store),
        )
        left = max(0.1, deadline - time.monotonic())
        patience = Patience(
            request_seconds=left, give_up_seconds=left, first_pause_seconds=_FIRST_PAUSE_SECONDS
        )
        is_new = time.monotonic() >= self._recognised.get(known["fingerprint"], 0.0)
        asked = [*probe_texts.TEXTS, *texts] if is_new else list(texts)
        found: dict[int, NDArray[np.float32]] = {}
        n_tokens = 0
        try:
            for part in embedder.embed(
                provider, asked, should_stop=lambda: time.monotonic() > deadline, patience=patience
            ):
                found |= dict(zip(part.places, part.vectors, strict=True))
                n_tokens += part.n_tokens
        except Stopped as error:
            raise _too_slow() from error
        except ProviderError as error:
            _name_row(error, len(asked) - len(texts), first_row)
            raise
        x = np.array([found[place] for place in range(len(asked))], np.float32)
        if is_new:
            n_probes = len(probe_texts.TEXTS)
            if not probe_texts.are_alike(known["sketch"], probe_texts.signature(x[:n_probes])):
                raise EncoderChanged(
                    f"{encoder.model} of {encoder.provider} returns other vectors than when this "
                    "head was trained, so the head cannot judge them. Take it to the encoder as it "
                    f"is now with POST /heads/{version.name}/migrate."
                )
            self._recognised[known["fingerprint"]] = time.monotonic() + RECOGNISED_SECONDS
            x = x[n_probes:]
        return truncation.truncated(x, encoder.truncate_dim), n_tokens


def check_encoder(version: HeadVersion, stated: str | None) -> None:
    """Raise Problem 409 if the vectors are stated to come from another encoder than the head's."""
    known = (version.encoder or {}).get("fingerprint")
    if stated is not None and known is not None and stated != known:
        raise Problem(
            409,
            "wrong_encoder",
            f"The embeddings come from the encoder {stated[:64]}, as the request says, but this "
            f"head was trained on embeddings from {known}. Embed the rows with that encoder, or "
            f"take the head to another one with POST /heads/{version.name}/migrate.",
            field="encoder",
        )


def _name_row(error: ProviderError, n_probes: int, first_row: int) -> None:
    """Name the text of the request that the error is about, if it is about one."""
    if isinstance(error, ProviderUnavailable):
        return  # it is about all texts
    row = -1 if error.place is None else error.place - n_probes
    if row >= 0:
        row += first_row
        error.found_at(f"This is about texts[{row}].", row=row)


def _too_slow() -> ProviderUnavailable:
    return ProviderUnavailable("The provider did not embed the text in time. Try again later.")

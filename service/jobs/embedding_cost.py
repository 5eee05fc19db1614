"""Estimate what embedding the texts of a planned job takes: requests, tokens, money."""

import hashlib
from collections.abc import Iterable

from pydantic import BaseModel, Field

from providers import batches, catalogue
from providers.encoder import Encoder
from providers.local import provider as local
from providers.provider import Limits, estimated_tokens
from store.embedding import encoders, text_vectors
from store.store import Store


class PlannedEmbedding(BaseModel):
    """What embedding the texts would take, estimated; each different text is embedded once."""

    n_texts: int
    n_different: int
    n_known: int = Field(description="How many of these this encoder has embedded before.")
    n_requests: int = Field(description="With the provider's documented limits.")
    n_tokens: int = Field(description="Estimated at three bytes per token, rather too many.")
    cost: float | None = Field(
        description="In the currency of provider.price_per_million_tokens; null without it."
    )


def of_texts(
    texts: Iterable[str],
    encoder: Encoder,
    *,
    price: float | None,
    tenant_id: str,
    store: Store,
    n_timed: int = 0,
    fingerprint: str | None = None,
    tokens_per_byte: float | None = None,
) -> PlannedEmbedding:
    """The cost of `texts`. price: of a million tokens, if known. Blocking; asks no provider.

    A text counts as known if it was embedded under this fingerprint, or else under the encoder's
    newest one. n_timed: how many are asked for one by one to measure the latency, known ones where
    too few are not. tokens_per_byte: what such texts took before, if that is known.
    """
    n_texts = 0
    by_hash: dict[str, str] = {}
    for text in texts:
        n_texts += 1
        by_hash[hashlib.sha256(text.encode()).hexdigest()] = text
    known = _known(list(by_hash), encoder, fingerprint, tenant_id=tenant_id, store=store)
    todo = [text for text_hash, text in by_hash.items() if text_hash not in known]
    single = [*todo, *(text for text_hash, text in by_hash.items() if text_hash in known)][:n_timed]
    together = todo[n_timed:]
    planned = list(batches.split(together, _limits(encoder), range(len(together))))
    asked = [*together, *single]
    n_tokens = sum(map(estimated_tokens, asked))
    if tokens_per_byte is not None:
        n_tokens = round(tokens_per_byte * sum(len(text.encode()) for text in asked))
    return PlannedEmbedding(
        n_texts=n_texts,
        n_different=len(by_hash),
        n_known=len(known),
        n_requests=len(single) + len(planned),
        n_tokens=n_tokens,
        cost=None if price is None else round(n_tokens * price / 1e6, 6),
    )


def _known(
    text_hashes: list[str],
    encoder: Encoder,
    fingerprint: str | None,
    *,
    tenant_id: str,
    store: Store,
) -> set[str]:
    with store.database.read() as tx:
        if fingerprint is None:
            seen = encoders.known(tx, tenant_id, encoder.whole.identity)
            fingerprint = seen[0].fingerprint if seen else None
        if fingerprint is None:
            return set()
        return text_vectors.known(tx, tenant_id, fingerprint, text_hashes)


def _limits(encoder: Encoder) -> Limits:
    if encoder.base_url is None:
        return local.LIMITS
    return catalogue.ENTRIES[encoder.provider].limits

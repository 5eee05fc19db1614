"""The home of what embedding the texts of a planned job would take: requests, tokens, money."""

import hashlib
from collections.abc import Iterable

from providers import batches, catalogue, local
from providers.encoder import Encoder
from providers.provider import Limits, estimated_tokens
from service.schemas.plan import PlannedEmbedding
from store import encoders
from store.store import Store


def of_texts(
    texts: Iterable[str], encoder: Encoder, *, price: float | None, tenant_id: str, store: Store
) -> PlannedEmbedding:
    """price: of a million tokens, if it is known. Blocking; asks no provider.

    Which texts are known is a matter of the encoder's newest fingerprint. Requests and tokens are
    those of all that are not, at their mean length: which ones they are is not looked up.
    """
    n_texts = 0
    different: dict[str, None] = {}
    for text in texts:
        n_texts += 1
        different[text] = None
    todo = list(different)
    n_known = _n_known(todo, encoder, tenant_id=tenant_id, store=store)
    limits = _limits(encoder)
    share = 1 - n_known / len(todo) if todo else 0.0
    n_tokens = sum(estimated_tokens(batches.bounded(text, limits)[0]) for text in todo)
    n_requests = sum(1 for _ in batches.plan(todo, limits, range(len(todo))))
    planned_tokens = round(share * n_tokens)
    return PlannedEmbedding(
        n_texts=n_texts,
        n_different=len(todo),
        n_known=n_known,
        n_requests=-int(-share * n_requests // 1),
        n_tokens=planned_tokens,
        cost=None if price is None else round(planned_tokens * price / 1e6, 6),
    )


def _n_known(texts: list[str], encoder: Encoder, *, tenant_id: str, store: Store) -> int:
    with store.database.read() as tx:
        seen = encoders.known(tx, tenant_id, encoder.identity)
        if not seen:
            return 0
        hashes = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        return encoders.n_known(tx, tenant_id, seen[0].fingerprint, hashes)


def _limits(encoder: Encoder) -> Limits:
    if encoder.provider == local.NAME:
        return local.LocalMiniLM.limits
    return catalogue.ENTRIES[encoder.provider].limits

"""Estimate what comparing encoders takes: of each one the requests, tokens and money."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, Field

from providers.single_texts import N_TIMED
from service.jobs import embedding_cost
from service.jobs.embedding_cost import PlannedEmbedding
from service.jobs.encoders import Compared, width
from store import datasets
from store.files.text_sample import sampled
from store.files.texts import TextsFile
from store.store import Store


class PlannedEncoder(BaseModel):
    """One encoder to compare."""

    name: str
    n_columns: int | None = Field(description="The width, if it is known beforehand.")
    embedded_with: str | None = Field(
        description="The encoder whose vectors it truncates, so that it costs nothing more."
    )
    embedding: PlannedEmbedding | None = Field(
        description="What ranking it takes, with 20 texts one by one to measure the latency; null "
        "for embeddings of yours, and for one that is embedded with another."
    )
    rest: PlannedEmbedding | None = Field(
        description="With sample: what embedding all texts takes, less those of the sample, if "
        "this encoder is chosen."
    )


class PlannedComparison(BaseModel):
    """What comparing encoders would take."""

    compared: list[PlannedEncoder]
    sample: int | None
    n_tokens: int = Field(description="Of the ranking, all encoders together.")
    cost: float | None = Field(description="Of these; null if a price is not known.")
    n_tokens_at_most: int = Field(description="With the rest of whichever encoder is chosen.")
    cost_at_most: float | None


def of(
    compared: Sequence[Compared],
    texts: TextsFile | None,
    *,
    sample: int | None,
    tenant_id: str,
    store: Store,
) -> PlannedComparison:
    """What comparing these encoders takes on the texts, None for embeddings. Blocking."""
    if texts is None:
        planned = [_of_dataset(one, tenant_id=tenant_id, store=store) for one in compared]
    else:
        ranked = texts if sample is None else sampled(texts, sample)
        planned = list(_of_texts(compared, texts, ranked, tenant_id=tenant_id, store=store))
    rests = [one.rest for one in planned if one.rest is not None]
    embeddings = [one.embedding for one in planned if one.embedding is not None]
    n_tokens = sum(one.n_tokens for one in embeddings)
    cost = _total([one.cost for one in embeddings])
    most = _most([one.cost for one in rests])
    return PlannedComparison(
        compared=planned,
        sample=sample,
        n_tokens=n_tokens,
        cost=cost,
        n_tokens_at_most=n_tokens + max((one.n_tokens for one in rests), default=0),
        cost_at_most=None if cost is None or most is None else round(cost + most, 6),
    )


def _of_dataset(one: Compared, *, tenant_id: str, store: Store) -> PlannedEncoder:
    with store.database.read() as tx:
        dataset = datasets.get(tx, tenant_id, one.dataset_id or "")
    return PlannedEncoder(
        name=one.name, n_columns=dataset.n_columns, embedded_with=None, embedding=None, rest=None
    )


def _of_texts(
    compared: Sequence[Compared],
    texts: TextsFile,
    ranked: TextsFile,
    *,
    tenant_id: str,
    store: Store,
) -> Iterator[PlannedEncoder]:
    first: dict[str, str] = {}
    for one in compared:
        encoder = one.encoder
        if encoder is None:
            continue
        common: dict[str, Any] = {"tenant_id": tenant_id, "store": store, "price": one.price}
        name = first.setdefault(encoder.whole.identity, one.name)
        embedding = embedding_cost.of_texts(_all(ranked), encoder, n_timed=N_TIMED, **common)
        rest = None
        if ranked is not texts:
            known = set(_all(ranked))
            left = (text for text in _all(texts) if text not in known)
            rest = embedding_cost.of_texts(left, encoder, **common)
        yield PlannedEncoder(
            name=one.name,
            n_columns=width(encoder),
            embedded_with=None if name == one.name else name,
            embedding=embedding if name == one.name else None,
            rest=rest,
        )


def _all(texts: TextsFile) -> Iterator[str]:
    return (text for split in texts.splits for text in split.texts)


def _total(costs: Sequence[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return round(sum(known), 6) if len(known) == len(costs) else None


def _most(costs: Sequence[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return max(known, default=0.0) if len(known) == len(costs) else None

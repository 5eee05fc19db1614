"""The encoders that a job compares: which ones a request means, and whether they go together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from providers import catalogue, truncation
from providers.encoder import Encoder
from providers.errors import ProviderError
from providers.local import minilm
from service.encoders import provided
from service.http.errors import Problem
from service.http.provider_problems import field_of, status_of
from service.jobs.schemas import JobCreate
from service.providers import access
from service.providers.schemas import EncoderChoice, ProviderChoice
from service.settings import ServiceSettings
from store import datasets, encoder_comparison
from store.database.connection import Transaction
from store.datasets import Dataset
from store.encoder_comparison import FEWEST, MOST
from store.errors import NotFound
from store.jobs import PRICE
from store.store import Store

FIELD: Final = "encoders"


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One encoder to compare: a provider's with its price, if stated, or a dataset's."""

    name: str
    encoder: Encoder | None = None
    price: float | None = None
    dataset_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As the job's row has it."""
        priced = {} if self.price is None else {PRICE: self.price}
        encoder = None if self.encoder is None else self.encoder.to_dict() | priced
        return {"name": self.name, "encoder": encoder, "dataset_id": self.dataset_id}


def resolve(
    choice: ProviderChoice | EncoderChoice,
    *,
    tenant_id: str,
    store: Store,
    settings: ServiceSettings,
) -> Encoder:
    """The encoder that a choice of a provider means. Raises InvalidProvider, InvalidEncoder."""
    encoder = catalogue.resolve(
        choice.name or "",
        model=choice.model,
        base_url=choice.base_url,
        dimensions=choice.dimensions,
        allowed=settings.provider_hosts,
        find_local=partial(
            provided.find_local, tenant_id=tenant_id, store=store, settings=settings
        ),
    )
    truncation.check_width(choice.truncate_dim, width(encoder))
    return replace(encoder, truncate_dim=choice.truncate_dim)


def width(encoder: Encoder) -> int | None:
    """The width of an encoder's vectors, if it is known before the first one."""
    if encoder.truncate_dim is not None:
        return encoder.truncate_dim
    return minilm.N_COLUMNS if encoder.provider == minilm.NAME else encoder.dimensions


def examine(
    body: JobCreate, *, tenant_id: str, store: Store, settings: ServiceSettings
) -> tuple[Compared, ...] | None:
    """The encoders that a job compares; None if it compares none.

    Raises Problem, naming the field and, as `row`, which encoder.
    """
    if body.encoders is None:
        if body.sample is not None:
            raise _invalid(
                "sample is how many rows encoders are first ranked on: leave it out, or name "
                "encoders to compare.",
                field="sample",
            )
        return None
    _check_form(body)
    found = []
    for place, choice in enumerate(body.encoders):
        if choice.dataset_id is not None:
            found.append(Compared(name=choice.dataset_id, dataset_id=choice.dataset_id))
            continue
        try:
            encoder = resolve(choice, tenant_id=tenant_id, store=store, settings=settings)
            access.check(encoder, tenant_id=tenant_id, store=store, settings=settings)
        except ProviderError as error:
            field = (field_of(error) or "provider").replace("provider", FIELD, 1)
            raise Problem(
                status_of(error), error.code, f"encoders[{place}]: {error}", field=field, row=place
            ) from error
        price = choice.price_per_million_tokens
        found.append(Compared(name=_name(encoder), encoder=encoder, price=price))
    _check_different(found)
    return tuple(_told_apart(_priced_alike(found)))


def _check_form(body: JobCreate) -> None:
    """Raise Problem if the request says something else beside the encoders."""
    choices = body.encoders or []
    if not FEWEST <= len(choices) <= MOST:
        raise _invalid(
            f"A comparison has {FEWEST} to {MOST} encoders, this one has {len(choices)}.",
            field=FIELD,
        )
    if body.provider is not None:
        raise _invalid(
            "Send either provider or encoders, not both: a comparison chooses the provider.",
            field="provider",
        )
    if body.method != "auto":
        raise _invalid(
            "Encoders are compared by the held-out predictions of method auto: leave out method.",
            field="method",
        )
    for place, choice in enumerate(choices):
        given = choice.model_fields_set - {"dataset_id"}
        if choice.dataset_id is None and choice.name is None:
            raise _invalid(
                f"encoders[{place}] needs name, a provider, or dataset_id, embeddings of yours.",
                field=f"{FIELD}.name",
                row=place,
            )
        if choice.dataset_id is not None and given:
            raise _invalid(
                f"encoders[{place}] is a dataset of embeddings, which no provider embeds: leave "
                f"out {min(given)}.",
                field=f"{FIELD}.{min(given)}",
                row=place,
            )
    of_datasets = [choice.dataset_id is not None for choice in choices]
    if any(of_datasets) != all(of_datasets):
        raise _invalid(
            "Either all encoders are providers, which embed the same texts, or all are datasets of "
            "embeddings: to compare both, embed the texts yourself.",
            field=f"{FIELD}.dataset_id",
            row=of_datasets.index(not of_datasets[0]),
        )
    if any(of_datasets) and (body.dataset_id is not None or body.sample is not None):
        field = "sample" if body.dataset_id is None else "dataset_id"
        raise _invalid(
            f"The encoders are datasets of embeddings already: leave out {field}.", field=field
        )


def _check_different(found: Sequence[Compared]) -> None:
    seen: dict[object, int] = {}
    for place, one in enumerate(found):
        key = one.dataset_id if one.encoder is None else one.encoder.identity
        if key in seen:
            raise _invalid(
                f"encoders[{place}] is the same as encoders[{seen[key]}]: leave one out.",
                field=FIELD,
                row=place,
            )
        seen[key] = place


def _priced_alike(found: Sequence[Compared]) -> list[Compared]:
    """The encoders with their prices: one for those that are embedded together."""
    stated: dict[str, tuple[int, float]] = {}
    for place, one in enumerate(found):
        if one.encoder is None or one.price is None:
            continue
        first, price = stated.setdefault(one.encoder.whole.identity, (place, one.price))
        if one.price != price:
            raise _invalid(
                f"encoders[{place}] is embedded together with encoders[{first}], which only "
                f"truncates otherwise, so both have one price: state {price:g} for it, or none.",
                field=f"{FIELD}.price_per_million_tokens",
                row=place,
            )
    return [one if one.encoder is None else _priced(one, one.encoder, stated) for one in found]


def _priced(one: Compared, encoder: Encoder, stated: Mapping[str, tuple[int, float]]) -> Compared:
    # What runs in the worker costs nothing unless its user says otherwise: nobody sends a bill.
    default = 0.0 if encoder.base_url is None else None
    return replace(one, price=stated.get(encoder.whole.identity, (None, default))[1])


def _name(encoder: Encoder) -> str:
    name = encoder.provider
    if encoder.provider != minilm.NAME:
        name = f"{encoder.provider}/{encoder.model}"
    if encoder.dimensions is not None and encoder.sha256 is None:
        name += f" dimensions={encoder.dimensions}"
    return name if encoder.truncate_dim is None else f"{name}[:{encoder.truncate_dim}]"


def _told_apart(found: Sequence[Compared]) -> list[Compared]:
    """The encoders with different names: the same model at two addresses gets its address."""
    counts = Counter(one.name for one in found)
    return [
        one
        if counts[one.name] == 1 or one.encoder is None
        else replace(one, name=f"{one.name} at {one.encoder.base_url}")
        for one in found
    ]


def rows_of(
    tx: Transaction, tenant_id: str, compared: Sequence[Compared]
) -> tuple[Dataset, tuple[Compared, ...]]:
    """The first dataset of embeddings to compare, and all of them under their datasets' names.

    Raises Problem unless their classes and splits are alike; the worker compares row by row.
    """
    found = [_dataset(tx, tenant_id, place, one) for place, one in enumerate(compared)]
    first = found[0]
    for place, one in enumerate(found):
        if one.content == datasets.TEXTS or not one.is_labelled:
            raise _invalid(
                f"encoders[{place}]: {one.id} has no labelled embeddings. For texts, name "
                "providers as encoders, and the texts as dataset_id.",
                field=f"{FIELD}.dataset_id",
                row=place,
            )
        if (list(one.classes), list(one.splits)) != (list(first.classes), list(first.splits)):
            raise _invalid(
                f"encoders[{place}]: {one.id} has not the same rows as {first.id}. Encoders are "
                "compared on the same rows, with the same labels and splits, in the same order: "
                "upload one file once for each of its columns of embeddings.",
                field=f"{FIELD}.dataset_id",
                row=place,
            )
    counts = Counter(one.name for one in found)
    names = [one.name if counts[one.name] == 1 else f"{one.name} {one.id}" for one in found]
    pairs = zip(compared, names, strict=True)
    return first, tuple(replace(one, name=name) for one, name in pairs)


def _dataset(tx: Transaction, tenant_id: str, place: int, one: Compared) -> Dataset:
    try:
        return datasets.get(tx, tenant_id, one.dataset_id or "")
    except NotFound as error:
        raise Problem(
            404,
            error.code,
            f"encoders[{place}]: {error}",
            field=f"{FIELD}.dataset_id",
            row=place,
        ) from error


def stored(compared: Sequence[Compared] | None, sample: int | None) -> dict[str, Any] | None:
    """As the job's row has them."""
    if compared is None:
        return None
    return encoder_comparison.new([one.to_dict() for one in compared], sample=sample)


def _invalid(detail: str, *, field: str, row: int | None = None) -> Problem:
    return Problem(422, "invalid_request", detail, field=field, row=row)

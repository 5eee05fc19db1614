"""Comparisons of encoders: models of one server that tell classes apart, some better."""

from collections.abc import Mapping, Sequence
from typing import Any

from nmtune import resolve
from providers import catalogue
from store import encoder_comparison, jobs
from store.datasets import Dataset
from store.jobs import PRICE, Job
from tests.servers import fault_server
from tests.servers.fault_server import Request, Server
from tests.workers.workplace import Workplace

SIGNAL = {"sharp": 3.0, "twin": 3.0, "blunt": 1.0}
"""How far each model moves the texts of the classes apart; its first number has it."""


def by_model(request: Request, body: dict[str, Any]) -> bool:
    """Answers as the model that the request names; the class of a text is its number's parity."""
    strength = SIGNAL.get(body["model"], 0.0)
    data = []
    for index, text in enumerate(body["input"]):
        vector = fault_server.vector(text)
        number = text.split()[-1]
        if number.isdigit():
            vector[0] += strength * (1 if int(number) % 2 else -1)
        data.append({"index": index, "embedding": vector})
    request.answer(200, {"data": data, "usage": {"prompt_tokens": sum(map(len, body["input"]))}})
    return True


def encoder(server: Server, model: str, **further: Any) -> dict[str, Any]:
    """One encoder to compare, as the API stores it; price and truncate_dim as `further`."""
    price = further.pop("price", None)
    found = catalogue.resolve(
        "openai-compatible", model=model, base_url=server.url, allowed=[server.host]
    ).to_dict()
    name = model if "truncate_dim" not in further else f"{model}[:{further['truncate_dim']}]"
    priced = {} if price is None else {PRICE: price}
    return {"name": name, "encoder": found | further | priced, "dataset_id": None}


def submit(
    place: Workplace,
    dataset: Dataset,
    compared: Sequence[Mapping[str, Any]],
    *,
    sample: int | None = None,
    compare: bool = False,
) -> Job:
    first = compared[0].get("dataset_id")
    with place.store.database.begin() as tx:
        return jobs.submit(
            tx,
            "default",
            name="texts",
            dataset_id=first or dataset.id,
            method="auto",
            config=resolve(
                method="auto", config={"seed": 1, "max_steps": 20}, compare=compare
            ).to_dict(),
            encoders=encoder_comparison.new(compared, sample=sample),
        )

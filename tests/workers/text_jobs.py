"""A dataset of texts, its job, and what was paid for."""

import numpy as np

from nmtune import resolve
from providers import catalogue, probe_texts
from store import datasets, jobs
from store.datasets import Dataset
from store.files.texts import TextsFile, TextSplit
from store.jobs import PRICE, Job
from tests.servers.fault_server import Server
from tests.workers.workplace import Workplace

N_PROBES = len(probe_texts.TEXTS)
QUICK = {"seed": 1, "l2": 1.0}


def texts(split: str, n: int) -> list[str]:
    return [f"{split} {number}" for number in range(n)]


def add_texts(place: Workplace, *, n: int = 60) -> Dataset:
    """Texts of two classes; the last of train stands there twice."""
    y = np.arange(n) % 2
    train = [*texts("train", n - 2), "twice", "twice"]
    file = TextsFile(
        classes=["a", "b"],
        splits=[
            TextSplit(name="train", texts=train, y=y, rows=list(range(n))),
            TextSplit(name="test", texts=texts("test", n), y=y, rows=list(range(n, 2 * n))),
        ],
    )
    reference = place.store.artifacts.put_bytes("default", file.to_bytes())
    with place.store.database.begin() as tx:
        return datasets.add(
            tx,
            "default",
            name="texts",
            sha256=reference.sha256,
            size_bytes=reference.size_bytes,
            n_rows=2 * n,
            n_columns=0,
            content=datasets.TEXTS,
            classes=["a", "b"],
            splits=[],
            profile={},
        )


def submit(
    place: Workplace,
    server: Server,
    dataset: Dataset,
    *,
    model: str = "toy",
    base_url: str | None = None,
    price: float | None = None,
) -> Job:
    encoder = catalogue.resolve(
        "openai-compatible", model=model, base_url=base_url or server.url, allowed=[server.host]
    )
    with place.store.database.begin() as tx:
        return jobs.submit(
            tx,
            "default",
            name="texts",
            dataset_id=dataset.id,
            method="linear_probe",
            config=resolve(method="linear_probe", config=QUICK).to_dict(),
            encoder=encoder.to_dict() | ({} if price is None else {PRICE: price}),
        )


def asked_for(server: Server) -> list[str]:
    """All texts that were paid for, without the probe texts."""
    return [text for text in server.texts() if text not in probe_texts.TEXTS]

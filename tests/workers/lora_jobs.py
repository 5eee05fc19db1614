"""Texts that an adapted encoder learns and a frozen one does not, and a job on them."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from nmtune import resolve
from nmtune.encoder.candidates import resolve_lora
from providers import catalogue
from store import datasets, jobs
from store.datasets import Dataset
from store.files.texts import TextsFile, TextSplit
from store.jobs import Job
from tests.workers.workplace import Workplace

WORDS = ["ant", "bee", "cow", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "koi", "lion"]
LEARNS: Mapping[str, Any] = {
    "epochs": 6,
    "batch_size": 8,
    "learning_rate": 3e-3,
    "seed": 1,
    **dict.fromkeys(("w_consistency", "w_covariance", "w_dominant"), 0),
}
"""Two words in order of the alphabet or not: what frozen embeddings hardly tell, LoRA learns."""


def word_pairs() -> dict[str, list[tuple[str, str]]]:
    """(text, label) by split: whether the two words are in order."""
    pairs = list(itertools.permutations(WORDS, 2))
    np.random.default_rng(0).shuffle(pairs)
    rows = [(f"{a} {b}", "in order" if a < b else "not") for a, b in pairs]
    return {"train": rows[:90], "validation": rows[90:120], "test": rows[120:]}


def add_texts(place: Workplace, rows: Mapping[str, list[tuple[str, str]]]) -> Dataset:
    """Labelled texts as a stored dataset."""
    classes = sorted({label for split in rows.values() for _, label in split})
    first, splits = 0, []
    for name, pairs in rows.items():
        y = np.array([classes.index(label) for _, label in pairs], np.int64)
        at = list(range(first, first + len(pairs)))
        splits.append(TextSplit(name=name, texts=[text for text, _ in pairs], y=y, rows=at))
        first += len(pairs)
    data = TextsFile(classes=classes, splits=splits).to_bytes()
    reference = place.store.artifacts.put_bytes("default", data)
    with place.store.database.begin() as tx:
        return datasets.add(
            tx,
            "default",
            name="texts",
            sha256=reference.sha256,
            size_bytes=reference.size_bytes,
            n_rows=first,
            n_columns=0,
            content=datasets.TEXTS,
            classes=classes,
            splits=[],
            profile={},
        )


def submit(
    place: Workplace,
    dataset: Dataset,
    config: Mapping[str, Any] = LEARNS,
    *,
    analyses: tuple[str, ...] = (),
) -> Job:
    lora = resolve_lora(config, analyses=analyses)
    frozen = resolve(method="auto", config={"seed": config.get("seed", 0)}, compare=False)
    with place.store.database.begin() as tx:
        return jobs.submit(
            tx,
            "default",
            name="order",
            dataset_id=dataset.id,
            method="auto",
            config=frozen.to_dict() | {"lora": lora.to_dict()},
            encoder=catalogue.resolve("local-minilm").to_dict(),
        )

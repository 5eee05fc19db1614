"""Read the bundled sentences, and turn them into the numbers of their words."""

import gzip
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from benchmarks.study.task import TEST, TRAIN, Rows, Task, drawn

SENTENCES: Final = Path(__file__).parent / "data/sentences.tsv.gz"
MAX_WORDS: Final = 16
"""Words of a sentence that are read; 2 % of the sentences have more."""
_FEWEST: Final = 2
"""Occurrences in the pre-training rows; rarer words are unknown, and so is any other."""

Sentences = Mapping[tuple[str, str], Sequence[tuple[str, str]]]


def read(path: Path = SENTENCES) -> Sentences:
    """(set, split) -> pairs of label and text."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            of_set, split, label, text = line.rstrip("\n").split("\t")
            found.setdefault((of_set, split), []).append((label, text))
    return found


def task(sentences: Sentences, *, downstream_rows: int, rows_of_a_class: int | None = None) -> Task:
    """The bundled task; the vocabulary is that of the pre-training rows."""
    vocabulary = words_of(text for _, text in sentences["pretraining", TRAIN])
    intents = _classes(sentences["pretraining", TRAIN])
    classes = _classes(sentences["downstream", TRAIN])
    pretraining = {
        split: _rows(sentences["pretraining", split], intents, vocabulary)
        for split in (TRAIN, TEST)
    }
    if rows_of_a_class is not None:
        few = drawn(pretraining[TRAIN], rows_of_a_class * len(intents))
        pretraining[TRAIN] = few
    downstream = {
        split: _rows(pairs, classes, vocabulary)
        for (of_set, split), pairs in sentences.items()
        if of_set == "downstream"
    }
    downstream[TRAIN] = drawn(downstream[TRAIN], downstream_rows)
    return Task(
        pretraining=pretraining,
        downstream=downstream,
        n_pretraining_classes=len(intents),
        classes=tuple(classes),
    )


def words_of(texts: Iterable[str]) -> dict[str, int]:
    """The number of each word that occurs twice; 0 is for all others."""
    counts = Counter(word for text in texts for word in _words(text))
    kept = sorted(word for word, n in counts.items() if n >= _FEWEST)
    return {word: number for number, word in enumerate(kept, start=1)}


def numbers(texts: Sequence[str], vocabulary: Mapping[str, int]) -> Tensor:
    """(n, MAX_WORDS) int64, filled up with 0."""
    found = torch.zeros(len(texts), MAX_WORDS, dtype=torch.int64)
    for row, text in enumerate(texts):
        known = [vocabulary.get(word, 0) for word in _words(text)[:MAX_WORDS]]
        found[row, : len(known)] = torch.tensor(known, dtype=torch.int64)
    return found


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+|\d", text.lower())


def _classes(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return sorted({label for label, _ in pairs})


def _rows(
    pairs: Sequence[tuple[str, str]], classes: Sequence[str], vocabulary: Mapping[str, int]
) -> Rows:
    index = {label: number for number, label in enumerate(classes)}
    y = torch.tensor([index[label] for label, _ in pairs])
    return Rows(numbers([text for _, text in pairs], vocabulary), y)

"""Local encoders give the vectors that sentence-transformers gives.

tests/data/encoders/make.py made the directories and the vectors, in an environment of its own.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from providers.local import minilm
from tests.support.places import ROOT

pytest.importorskip("tokenizers")
from providers.local.provider import LoadedEncoder, load

DATA = ROOT / "tests" / "data" / "encoders"
TEXTS: list[str] = json.loads((DATA / "texts.json").read_text())
FAMILIES = ["bert", "roberta", "xlm-roberta", "mpnet", "distilbert"]
TOLERANCE = 1e-4


def place(name: str) -> Path:
    return minilm.place() if name == minilm.NAME else DATA / name


def expected(name: str) -> NDArray[np.float32]:
    with np.load(DATA / "vectors.npz", allow_pickle=False) as held:
        return held[name]


@pytest.fixture(params=[*FAMILIES, minilm.NAME])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def encoder(name: str) -> LoadedEncoder:
    return load(place(name))


def distance(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """The largest difference of a number, by the longest vector's length."""
    return float(np.abs(found - wanted).max() / np.linalg.norm(wanted, axis=1).max())


def test_vectors_are_those_of_sentence_transformers(name: str, encoder: LoadedEncoder) -> None:
    wanted = expected(name)
    found = encoder.embed(TEXTS)
    assert len({tuple(row) for row in wanted.round(4)}) > len(TEXTS) // 2, "they tell texts apart"
    assert distance(found.vectors, wanted) < TOLERANCE
    assert found.n_truncated >= 1


def test_a_text_alone_has_the_vector_that_it_has_beside_longer_ones(
    name: str, encoder: LoadedEncoder
) -> None:
    wanted = expected(name)
    alone = np.concatenate([encoder.embed([text]).vectors for text in TEXTS])
    assert distance(alone, wanted) < TOLERANCE

"""The local encoder gives the vectors that sentence-transformers gives."""

import json

import numpy as np
import pytest

from providers import catalogue, probe_texts
from providers.local import minilm
from providers.local.provider import LocalEncoder
from tests.support.places import ROOT

pytest.importorskip("tokenizers")
SENTENCES = ROOT / "tests" / "data" / "intents.jsonl"


def provider() -> LocalEncoder:
    return LocalEncoder(catalogue.resolve("local-minilm"), lambda _: minilm.place())


def test_its_vectors_are_those_of_the_original() -> None:
    """The file's vectors were made by sentence-transformers, and kept as float16."""
    rows = [json.loads(line) for line in SENTENCES.read_text().splitlines()]
    rows = [row for row in rows if "embedding" in row]
    found = provider().embed([row["text"] for row in rows], seconds=60).vectors
    known = np.array([row["embedding"] for row in rows], np.float32)
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    assert len(rows) >= 4
    np.testing.assert_allclose(found, known, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_a_text_is_embedded_alike_in_any_company() -> None:
    texts = ["short", "a somewhat longer sentence, with a comma", "", "ünïcode 漢字 🙂"]
    together = provider().embed(texts, seconds=60)
    for text, vector in zip(texts, together.vectors, strict=True):
        np.testing.assert_allclose(
            provider().embed([text], seconds=60).vectors[0], vector, atol=1e-5
        )
    assert together.n_truncated == 0
    assert provider().embed(["word " * 400], seconds=60).n_truncated == 1


def test_a_sketch_tells_encoders_apart() -> None:
    x = provider().embed(probe_texts.TEXTS, seconds=60).vectors
    noise = np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    known = probe_texts.signature(x)
    assert probe_texts.are_alike(known, probe_texts.signature(x + 0.04 * noise)), (
        "a cosine of 0.999"
    )
    assert not probe_texts.are_alike(known, probe_texts.signature(x + 0.3 * noise))
    assert not probe_texts.are_alike(known, probe_texts.signature(x[:, :200]))
    assert not probe_texts.are_alike(known, probe_texts.signature(3 * x))

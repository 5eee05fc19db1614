"""What a head knows about when to trust it is stored with the head, whole or refused."""

import json
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from nmtune.config import TuneConfig
from nmtune.errors import HeadFormatError
from nmtune.heads.head import Head
from nmtune.training.trainer import Trainer
from nmtune.trust.knowledge import learn


@pytest.fixture(scope="module")
def head(rows: Any) -> Head:
    x, y = np.tile(rows.x, (2, 1)), np.tile(rows.y, 2)
    trainer = Trainer(
        x, y, classes=rows.classes, config=TuneConfig.from_preset("linear_probe", l2=1.0)
    )
    assert list(trainer)
    plain = trainer.result().head
    probabilities = plain.predict_proba(x)
    knowledge = learn(
        x,
        y,
        predicted=probabilities.argmax(axis=1),
        of_truth=probabilities[np.arange(len(y)), y],
        n_classes=3,
        seed=0,
    )
    return plain.with_knowledge(knowledge)


def test_knowledge_comes_back_bit_for_bit_beside_a_canary(head: Head, rows: Any) -> None:
    equipped = head.with_self_test(rows.x[:3])
    data = equipped.to_bytes()
    again = Head.from_bytes(data)
    assert again.to_bytes() == data
    assert again.self_test is not None
    known, before = again.knowledge, head.knowledge
    assert known is not None
    assert before is not None
    assert known.tensors().keys() == before.tensors().keys()
    assert known.ood is not None
    assert before.ood is not None
    np.testing.assert_array_equal(known.ood.score(rows.x), before.ood.score(rows.x))
    assert head.calibrated(2.0).knowledge is None


def test_few_rows_leave_parts_out(rows: Any) -> None:
    known = learn(rows.x, rows.y, predicted=rows.y, of_truth=None, n_classes=3, seed=0)
    assert (known.conformal, known.ood) == (None, None)
    assert set(known.tensors()) == {
        f"sketch.{name}"
        for name in ("n_rows", "mean", "deviation", "norm_edges", "norm_shares", "class_shares")
    }


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("more.x", np.zeros(1, np.float32), "unknown tensor more.x"),
        ("sketch.mean", None, "missing or unknown tensors: mean"),
        ("sketch.mean", np.zeros(7), "tensor mean must be"),
        ("ood.spread", None, "not a readable head"),
        ("ood.spread", np.zeros(7, np.float32), "fewer directions than columns"),
        ("conformal.least", np.zeros(0, np.float32), "conformal levels must be 1 to 100"),
    ],
)
def test_knowledge_that_does_not_fit_is_refused(
    head: Head, name: str, tensor: Any, words: str
) -> None:
    data = head.to_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    stored = safetensors.numpy.load(data)
    stored.pop(f"knowledge.{name}", None)
    if tensor is not None:
        stored[f"knowledge.{name}"] = tensor
    with pytest.raises(HeadFormatError) as caught:
        Head.from_bytes(safetensors.numpy.save(stored, metadata=header["__metadata__"]))
    assert words in caught.value.message


@pytest.mark.parametrize("has_held_out", [True, False])
def test_another_head_of_the_same_rows_knows_what_it_would_have_learnt(
    rows: Any, has_held_out: bool
) -> None:
    x, y = np.tile(rows.x, (2, 1)), np.tile(rows.y, 2)
    random = np.random.default_rng(5)
    of_truth = random.random(len(y)) if has_held_out else None
    predicted = random.integers(0, 3, len(y))
    first = learn(x, y, predicted=y, of_truth=random.random(len(y)), n_classes=3, seed=0)
    other = first.of_other_head(predicted=predicted, of_truth=of_truth)
    alone = learn(x, y, predicted=predicted, of_truth=of_truth, n_classes=3, seed=0)
    assert other.tensors().keys() == alone.tensors().keys()
    for name, tensor in alone.tensors().items():
        assert (other.tensors()[name] == tensor).all(), name
    assert other.ood is first.ood

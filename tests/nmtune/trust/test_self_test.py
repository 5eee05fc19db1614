"""The self-test: rows that a head carries with what it said of them, stored whole or refused."""

import json
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from nmtune.config import TuneConfig
from nmtune.errors import DataError, HeadFormatError
from nmtune.heads.head import Head
from nmtune.training.trainer import Trainer
from nmtune.trust.self_test import MOST_ROWS, self_test_rows


@pytest.fixture(scope="module")
def head(rows: Any) -> Head:
    config = TuneConfig.from_preset("linear_probe", l2=1.0)
    trainer = Trainer(rows.x, rows.y, classes=rows.classes, config=config)
    assert list(trainer)
    return trainer.result().head.calibrated(2.0)


def changed(data: bytes, **tensors: NDArray[Any] | None) -> bytes:
    """The head's file with tensors of its self-test replaced, or left out."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    stored = safetensors.numpy.load(data)
    for name, tensor in tensors.items():
        stored.pop(f"canary.{name}", None)
        if tensor is not None:
            stored[f"canary.{name}"] = tensor
    return safetensors.numpy.save(stored, metadata=header["__metadata__"])


def test_self_test_comes_back_bit_for_bit(head: Head, rows: Any) -> None:
    assert head.self_test is None
    equipped = head.with_self_test(rows.x[:5])
    data = equipped.to_bytes()
    assert data == equipped.to_bytes()
    again = Head.from_bytes(data)
    assert again.to_bytes() == data
    assert again.self_test is not None
    np.testing.assert_array_equal(again.self_test.x, rows.x[:5])
    np.testing.assert_array_equal(again.self_test.probabilities, head.predict_proba(rows.x[:5]))
    assert again.self_test.x.dtype == again.self_test.probabilities.dtype == np.float32
    np.testing.assert_array_equal(again.predict_proba(rows.x), head.predict_proba(rows.x))


def test_another_temperature_has_no_self_test_yet(head: Head, rows: Any) -> None:
    assert head.with_self_test(rows.x[:5]).calibrated(1.0).self_test is None


def test_heads_of_the_version_before_still_load(head: Head, rows: Any) -> None:
    def as_version_2(data: bytes) -> bytes:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        document = json.loads(header["__metadata__"]["nmtune"]) | {"version": 2}
        stored = safetensors.numpy.load(data)
        return safetensors.numpy.save(stored, metadata={"nmtune": json.dumps(document)})

    again = Head.from_bytes(as_version_2(head.to_bytes()))
    assert again.self_test is None
    np.testing.assert_array_equal(again.predict_proba(rows.x), head.predict_proba(rows.x))
    with pytest.raises(HeadFormatError, match=r"unknown tensor canary\."):
        Head.from_bytes(as_version_2(head.with_self_test(rows.x[:5]).to_bytes()))


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"x": None}, "1 to 16 rows, got 0"),
        ({"x": np.zeros((0, 6), np.float32)}, "1 to 16 rows, got 0"),
        ({"x": np.zeros((17, 6), np.float32)}, "1 to 16 rows, got 17"),
        ({"x": np.zeros((), np.float32)}, "1 to 16 rows, got 0"),
        ({"x": np.zeros(5, np.float32)}, "tensor x must be"),
        ({"x": np.zeros((5, 7), np.float32)}, "tensor x must be torch.float32 (5, 6)"),
        ({"x": np.zeros((5, 6), np.float64)}, "got torch.float64"),
        ({"x": np.full((5, 6), np.nan, np.float32)}, "tensor x is not finite"),
        ({"probabilities": None}, "missing or unknown tensors: probabilities"),
        ({"probabilities": np.ones((4, 3), np.float32) / 3}, "tensor probabilities must be"),
        ({"probabilities": np.ones((5, 3), np.float32)}, "must sum to 1"),
        ({"probabilities": np.tile(np.float32([2, -1, 0]), (5, 1))}, "must sum to 1"),
        ({"probabilities": np.full((5, 3), np.inf, np.float32)}, "is not finite"),
        ({"more": np.zeros(3, np.float32)}, "missing or unknown tensors: more"),
    ],
)
def test_self_test_that_does_not_fit_is_refused(
    head: Head, rows: Any, tensors: dict[str, Any], words: str
) -> None:
    data = head.with_self_test(rows.x[:5]).to_bytes()
    with pytest.raises(HeadFormatError) as caught:
        Head.from_bytes(changed(data, **tensors))
    assert words in caught.value.message


def test_self_test_is_small(head: Head, rows: Any) -> None:
    with pytest.raises(DataError, match="at most 16 rows, got 17"):
        head.with_self_test(rows.x[:17])
    with pytest.raises(DataError, match="must not be empty"):
        head.with_self_test(rows.x[:0])


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([0], [0]),
        ([1, 1, 0], [0, 1, 2]),
        ([0] * 50 + [1] * 2 + [2], [*range(13), 50, 51, 52]),
        ([0, 1] * 50, list(range(16))),
    ],
)
def test_rows_are_spread_over_classes(y: list[int], expected: list[int]) -> None:
    assert self_test_rows(np.array(y)).tolist() == expected


def test_of_many_classes_some_all_over_give_a_row() -> None:
    y = np.repeat(np.arange(1000), 3)
    taken = self_test_rows(y)
    assert len(taken) == len(set(y[taken])) == MOST_ROWS
    assert y[taken].min() == 0
    assert y[taken].max() == 999

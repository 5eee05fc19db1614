"""The head: embeddings in, probabilities out; bytes that say everything and trust nothing."""

import contextlib
import json
import math
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from numpy.typing import NDArray

from nmtune.config import TuneConfig
from nmtune.errors import DataError, HeadFormatError
from nmtune.heads.head import Head
from nmtune.training.trainer import Trainer

CONFIGS = {
    "whitened_probe": TuneConfig.from_preset("whitened_probe", l2=1.0),
    "mlp_ensemble": TuneConfig.from_preset("mlp_ensemble", epochs=2, hidden_width=4),
    "linear_probe": TuneConfig.from_preset("linear_probe", l2=1.0),
    "paper": TuneConfig.from_preset("paper", epochs=2),
    "reference, standardised": TuneConfig.from_preset("reference", epochs=2, scaling="standardise"),
    "paper, rms": TuneConfig.from_preset("paper", epochs=1, scaling="rms", hidden_multiplier=1),
}
Tensors = dict[str, NDArray[Any]]


@pytest.fixture(scope="module", params=CONFIGS)
def head(request: pytest.FixtureRequest, rows: Any) -> Head:
    trainer = Trainer(rows.x, rows.y, classes=rows.classes, config=CONFIGS[request.param])
    assert list(trainer)
    return trainer.result().head


@pytest.fixture(scope="module")
def reference_head(rows: Any) -> Head:
    config = CONFIGS["reference, standardised"]
    trainer = Trainer(rows.x, rows.y, classes=rows.classes, config=config)
    assert list(trainer)
    return trainer.result().head


def opened(data: bytes) -> tuple[dict[str, Any], Tensors]:
    """The head's bytes as any reader of safetensors sees them."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["nmtune"]), safetensors.numpy.load(data)


def only_member(document: dict[str, Any], tensors: Tensors) -> tuple[dict[str, Any], Tensors]:
    """The config and the tensors of the head's one member."""
    (member,) = document["members"]
    assert member["weight"] == 1.0
    return member["config"], {name.removeprefix("0."): one for name, one in tensors.items()}


def closed(document: object, tensors: Tensors) -> bytes:
    return safetensors.numpy.save(tensors, metadata={"nmtune": json.dumps(document)})


def test_probabilities_are_float32_rows_that_sum_to_one(head: Head, rows: Any) -> None:
    probabilities = head.predict_proba(rows.x)
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (90, 3)
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_stored_tensors_alone_explain_the_predictions(head: Head, rows: Any) -> None:
    """Recomputed in float64 numpy from the file, by the method's formulae."""
    document, stored = opened(head.to_bytes())
    config, tensors = only_member(document, stored)
    t = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    f = rows.x.astype(np.float64)
    f = (f - t.get("scaling.mean", 0)) / t.get("scaling.divisor", 1)

    def linear(x: NDArray[Any], name: str) -> NDArray[Any]:
        return x @ t[f"network.{name}.weight"].T + t[f"network.{name}.bias"]

    z = f
    if config["transform"] == "mlp":
        z = linear(np.maximum(linear(f, "transform.0"), 0), "transform.2")
    elif config["transform"] == "whiten":
        z = linear(f, "transform")
    elif config["transform"] == "hidden":
        z = np.maximum(linear(f, "transform.0"), 0)
    elif config["transform"] == "residual_mlp":
        norm = "network.transform.branch.1"
        hidden = linear(f, "transform.branch.0") - t[f"{norm}.running_mean"]
        hidden /= np.sqrt(t[f"{norm}.running_var"] + 1e-5)
        hidden = np.maximum(hidden * t[f"{norm}.weight"] + t[f"{norm}.bias"], 0)
        z = f + t["network.transform.scale"] * linear(hidden, "transform.branch.3")
    odds = np.exp(linear(z, "classifier") / document["temperature"])
    np.testing.assert_allclose(head.transform(rows.x), z, rtol=1e-4, atol=1e-5)
    expected = odds / odds.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(head.predict_proba(rows.x), expected, rtol=1e-4, atol=1e-6)


def test_head_says_what_it_is(reference_head: Head) -> None:
    assert reference_head.classes == ("cat", "dog", "élan")
    assert reference_head.n_columns == 6
    assert reference_head.temperature == 1.0
    assert reference_head.config == CONFIGS["reference, standardised"]
    # Linear(6, 24), BatchNorm(24), Linear(24, 6), scale (6,), classifier (6, 3)
    assert reference_head.n_parameters == (6 * 24 + 24) + 2 * 24 + (24 * 6 + 6) + 6 + (6 * 3 + 3)


def test_predict_names_the_most_probable_class(head: Head, rows: Any) -> None:
    best = head.predict_proba(rows.x).argmax(axis=1)
    assert head.predict(rows.x) == [rows.classes[index] for index in best]


def test_temperature_flattens_the_probabilities(reference_head: Head, rows: Any) -> None:
    document, tensors = opened(reference_head.to_bytes())
    warm = Head.from_bytes(closed(document | {"temperature": 2.0}, tensors))
    cold = np.log(reference_head.predict_proba(rows.x))
    expected = np.exp(cold / 2) / np.exp(cold / 2).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(warm.predict_proba(rows.x), expected, rtol=1e-4)


@pytest.mark.parametrize(
    "given",
    [
        lambda x: x,
        lambda x: x.astype(np.float64),
        lambda x: x.astype(np.float16),
        lambda x: x.astype(np.int64),
        lambda x: x.tolist(),
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[::-1].copy()[::-1],
        lambda x: torch.from_numpy(x),
    ],
    ids=["f32", "f64", "f16", "i64", "list", "fortran", "strided", "reversed", "torch"],
)
def test_any_numeric_layout_gives_the_same_probabilities(
    reference_head: Head, given: Callable[[Any], Any]
) -> None:
    x = np.random.default_rng(0).integers(-3, 4, size=(20, 6)).astype(np.float32)
    expected = reference_head.predict_proba(x.copy())
    np.testing.assert_array_equal(reference_head.predict_proba(given(x)), expected)


def test_read_only_memory_map_is_read(reference_head: Head, rows: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", rows.x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    expected = reference_head.predict_proba(rows.x)
    np.testing.assert_array_equal(reference_head.predict_proba(mapped), expected)


def test_callers_rows_are_left_alone(head: Head, rows: Any) -> None:
    x = rows.x.copy()
    head.predict_proba(x)
    head.transform(x)
    np.testing.assert_array_equal(x, rows.x)


def test_many_rows_pass_in_batches_with_the_result_of_one(head: Head, rows: Any) -> None:
    many = np.tile(rows.x, (25, 1))
    one = np.concatenate([head.predict_proba(many[i : i + 1]) for i in range(90)])
    np.testing.assert_allclose(head.predict_proba(many), np.tile(one, (25, 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("x", "words", "row", "column"),
    [
        (np.zeros((2, 5)), "must have 6 columns, as the head was trained on, got 5", None, None),
        (np.zeros(6), "must be two-dimensional (rows, columns), got shape (6,)", None, None),
        (np.zeros((1, 2, 6)), "got shape (1, 2, 6)", None, None),
        (np.zeros((0, 6)), "must not be empty, got shape (0, 6)", None, None),
        (np.zeros((3, 0)), "must not be empty", None, None),
        (np.float32(3), "two-dimensional", None, None),
        ([[1.0] * 6, [1.0] * 5], "row 1: has 5 values where row 0 has 6", 1, None),
        ([["1"] * 6], "row 0, column 0: '1' is not a number", 0, 0),
        ([[None] * 6], "row 0, column 0: None is not a number", 0, 0),
        (np.zeros((1, 6), bool), "must be real numbers, got bool", None, None),
        (np.zeros((1, 6), complex), "must be real numbers", None, None),
        (np.where(np.eye(6) * 0 + np.arange(6) == 4, np.nan, 0.0), "got nan in row 0", 0, 4),
        (np.where(np.arange(12).reshape(2, 6) == 9, np.inf, 0.0), "row 1, column 3", 1, 3),
        (
            np.where(np.arange(12).reshape(2, 6) == 6, 1e300, 0.0),
            "float32's range, got 1e+300",
            1,
            0,
        ),
    ],
)
def test_rows_that_cannot_be_used_are_refused_with_their_place(
    reference_head: Head, x: Any, words: str, row: int | None, column: int | None
) -> None:
    for method in (reference_head.predict_proba, reference_head.predict, reference_head.transform):
        with pytest.raises(DataError) as caught:
            method(x)
        assert words in caught.value.message
        assert (caught.value.field, caught.value.row, caught.value.column) == (
            "embeddings",
            row,
            column,
        )


def test_values_too_large_for_the_head_are_refused_and_not_answered_with_nan(
    reference_head: Head,
) -> None:
    x = np.zeros((3, 6), np.float32)
    x[1] = 3e38
    with pytest.raises(DataError, match="row 1 are too large") as caught:
        reference_head.predict_proba(x)
    assert caught.value.row == 1


def test_threads_share_a_head(reference_head: Head, rows: Any) -> None:
    expected = reference_head.predict_proba(rows.x)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(reference_head.predict_proba, [rows.x] * 40))
    assert all(np.array_equal(answer, expected) for answer in answers)
    assert torch.is_grad_enabled()


def test_bytes_round_trip_bit_for_bit(head: Head, rows: Any) -> None:
    data = head.to_bytes()
    again = Head.from_bytes(data)
    np.testing.assert_array_equal(again.predict_proba(rows.x), head.predict_proba(rows.x))
    np.testing.assert_array_equal(again.transform(rows.x), head.transform(rows.x))
    assert (again.classes, again.config, again.n_parameters) == (
        head.classes,
        head.config,
        head.n_parameters,
    )
    assert {data, *(again.to_bytes() for _ in range(8))} == {data}


def test_truncated_or_padded_bytes_are_refused(reference_head: Head) -> None:
    data = reference_head.to_bytes()
    for size in [0, 1, 7, 8, 9, 100, len(data) // 2, len(data) - 1]:
        with pytest.raises(HeadFormatError):
            Head.from_bytes(data[:size])
    with pytest.raises(HeadFormatError):
        Head.from_bytes(data + b"\0")


def test_damaged_bytes_are_refused_or_harmless(reference_head: Head, rows: Any) -> None:
    """Any byte may be any other: the answer is a refusal or a head with finite numbers."""
    data = reference_head.to_bytes()
    generator = np.random.default_rng(1)
    n_header = 8 + int.from_bytes(data[:8], "little")
    n_refused = 0
    for trial in range(300):
        damaged = bytearray(data)
        place = generator.integers(n_header if trial % 3 else len(data))
        damaged[place] ^= int(generator.integers(1, 256))
        try:
            head = Head.from_bytes(bytes(damaged))
        except HeadFormatError:
            n_refused += 1
            continue
        with contextlib.suppress(DataError):
            assert np.isfinite(head.predict_proba(rows.x)).all()
    assert n_refused > 100


@pytest.mark.parametrize("data", [b"", b"\xff" * 64, pickle.dumps({"a": 1}), b"{}" * 50])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(HeadFormatError, match="not a readable head"):
        Head.from_bytes(data)


def test_safetensors_of_another_kind_is_refused(reference_head: Head) -> None:
    _, tensors = opened(reference_head.to_bytes())
    for metadata in (None, {}, {"nmtune": "not json"}, {"nmtune": "[]"}, {"nmtune": "{}"}):
        with pytest.raises(HeadFormatError):
            Head.from_bytes(safetensors.numpy.save(tensors, metadata=metadata))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 1}, "expected nmtune-head version 3, got nmtune-head version 1"),
        ({"version": 4}, "expected nmtune-head version 3, got nmtune-head version 4"),
        ({"version": [2]}, "expected nmtune-head version 3"),
        ({"kind": "nmtune-checkpoint"}, "expected nmtune-head"),
        ({"classes": ["cat", "cat", "dog"]}, "different names"),
        ({"classes": ["cat", "dog"]}, "tensor classifier."),
        ({"classes": ["cat", "", "dog"]}, "non-empty strings"),
        ({"classes": "abc"}, "different names"),
        ({"classes": None}, "not a readable head"),
        ({"n_columns": 7}, "tensor "),
        ({"n_columns": True}, "n_columns"),
        ({"n_columns": 10**12}, "n_columns"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"members": [{"config": {"epochs": 0}, "weight": 1.0}]}, "epochs must be"),
        ({"members": [{"config": {"warm_up": 1}, "weight": 1.0}]}, "warm_up is not a setting"),
        ({"members": [{"config": {}, "weight": 1.0}]}, "unknown tensors"),
        ({"members": [{"config": [], "weight": 1.0}]}, "not a readable head"),
        ({"members": [{"config": {}, "weight": math.inf}]}, "weight"),
        ({"members": [{"config": {}, "weight": 1}]}, "weight"),
        ({"members": []}, "1 to 64 members"),
        ({"members": 3}, "not a readable head"),
    ],
)
def test_document_that_does_not_fit_is_refused(
    reference_head: Head, changes: dict[str, Any], words: str
) -> None:
    document, tensors = opened(reference_head.to_bytes())
    with pytest.raises(HeadFormatError) as caught:
        Head.from_bytes(closed(document | changes, tensors))
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("0.network.classifier.bias", None, "missing or unknown tensors: classifier.bias"),
        ("0.network.more", np.zeros(3, np.float32), "missing or unknown tensors: more"),
        ("more", np.zeros(3, np.float32), "unknown tensor more"),
        ("0.more", np.zeros(3, np.float32), "unknown tensor more"),
        ("1.network.more", np.zeros(3, np.float32), "unknown tensor 1.network.more"),
        ("0.scaling.mean", np.zeros(5, np.float32), "tensor mean must be torch.float32 (6,)"),
        ("0.scaling.mean", np.zeros(6, np.float64), "got torch.float64"),
        ("0.scaling.divisor", np.zeros(6, np.float32), "divides by something not positive"),
        ("0.scaling.mean", np.full(6, np.inf, np.float32), "tensor mean is not finite"),
        (
            "0.network.transform.branch.1.running_var",
            np.full(24, -1, np.float32),
            "is a variance and must not be negative",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    reference_head: Head, name: str, tensor: NDArray[Any] | None, words: str
) -> None:
    document, tensors = opened(reference_head.to_bytes())
    changed = {key: value for key, value in tensors.items() if key != name}
    if tensor is not None:
        changed[name] = tensor
    with pytest.raises(HeadFormatError) as caught:
        Head.from_bytes(closed(document, changed))
    assert words in caught.value.message


def blended(rows: Any) -> tuple[list[Head], Head]:
    heads = []
    for config in CONFIGS.values():
        trainer = Trainer(rows.x, rows.y, classes=rows.classes, config=config)
        assert list(trainer)
        heads.append(trainer.result().head)
    heads[0] = heads[0].calibrated(0.5)
    return heads, Head.blend(heads, [0.5, 0.25, 0.1, 0.1, 0.05, 0.0])


def test_blend_is_the_weighted_geometric_mean_of_its_heads(rows: Any) -> None:
    heads, blend = blended(rows)
    weights = [0.5, 0.25, 0.1, 0.1, 0.05, 0.0]
    logs = sum(
        weight * np.log(head.predict_proba(rows.x).astype(np.float64))
        for weight, head in zip(weights, heads, strict=True)
    )
    expected = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(blend.predict_proba(rows.x), expected, rtol=1e-3, atol=1e-6)
    tuned = np.concatenate([head.transform(rows.x) for head in heads], axis=1)
    np.testing.assert_array_equal(blend.transform(rows.x), tuned)
    assert blend.n_tuned_columns == tuned.shape[1]
    assert blend.n_parameters == sum(head.n_parameters for head in heads)
    assert blend.configs == tuple(head.config for head in heads)


def test_blend_comes_back_from_its_bytes(rows: Any) -> None:
    _, blend = blended(rows)
    again = Head.from_bytes(blend.calibrated(1.5).to_bytes())
    assert again.temperature == 1.5
    np.testing.assert_array_equal(again.logits(rows.x), blend.logits(rows.x))
    with pytest.raises(ValueError, match="unpack"):
        _ = again.config


def test_heads_of_other_classes_do_not_blend(reference_head: Head, rows: Any) -> None:
    other = Trainer(rows.x, rows.y, classes=("a", "b", "c"), config=CONFIGS["paper"])
    assert list(other)
    with pytest.raises(DataError, match="same classes"):
        Head.blend([reference_head, other.result().head], [0.5, 0.5])


def test_its_repr_says_what_it_takes(reference_head: Head) -> None:
    columns, classes = reference_head.n_columns, len(reference_head.classes)
    assert repr(reference_head) == f"Head({columns} columns, {classes} classes, temperature=1)"

"""What the caller made of torch, numpy and scikit-learn neither changes a result nor is changed."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest
import sklearn
import torch

from nmtune import (
    DataError,
    Head,
    NMTuneClassifier,
    TogetherTrainer,
    Trainer,
    TuneConfig,
    class_spectra,
    dominant_singular_value_loss,
    evaluate,
    find_label_errors,
    find_near_duplicates,
    fit_auto,
    nmtune_loss,
    resolve,
    spectrum,
)
from nmtune.numeric import torch_state
from nmtune.serving.folded import fold

N_CLASSES, N_COLUMNS = 3, 6
CLASSES = ["a", "b", "c"]


def rows() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y = np.arange(60) % N_CLASSES
    x = random.normal(size=(60, N_COLUMNS)) + np.eye(N_COLUMNS)[y] * 2
    return x.astype(np.float32), y


X, Y = rows()


@contextmanager
def default_dtype() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_device() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def anomaly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that it is slow
        torch.autograd.set_detect_anomaly(True)
    try:
        yield
    finally:
        torch.autograd.set_detect_anomaly(False)


@contextmanager
def products(precision: str) -> Iterator[None]:
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


@contextmanager
def seeded() -> Iterator[None]:
    before = torch.get_rng_state()
    torch.manual_seed(1234)
    np.random.seed(1234)
    try:
        yield
    finally:
        torch.set_rng_state(before)


STATES: dict[str, Callable[[], Any]] = {
    "float64 by default": default_dtype,
    "another device by default": default_device,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "deterministic algorithms": deterministic,
    "anomaly detection": anomaly,
    "rough products": lambda: products("medium"),
    "another seed": seeded,
    "numpy raises": lambda: np.errstate(all="raise"),
    "scikit-learn gives frames": lambda: sklearn.config_context(transform_output="pandas"),
    "scikit-learn assumes finite": lambda: sklearn.config_context(assume_finite=True),
    "scikit-learn routes metadata": lambda: sklearn.config_context(enable_metadata_routing=True),
}


def trained(config: TuneConfig) -> bytes:
    trainer = Trainer(X, Y, classes=CLASSES, config=config, validation=(X[:12], Y[:12]))
    for _ in trainer:
        pass
    checkpoint = trainer.checkpoint()
    again = Trainer(
        X,
        Y,
        classes=CLASSES,
        config=config,
        validation=(X[:12], Y[:12]),
        checkpoint=checkpoint,
    )
    assert again.result().head.to_bytes() == trainer.result().head.to_bytes()
    return trainer.result().head.to_bytes()


def of_method(method: str, **settings: Any) -> Callable[[], bytes]:
    return lambda: trained(resolve(method=method, config={"epochs": 2, **settings}).configs[method])


def probe(name: str) -> Callable[[], bytes]:
    return lambda: trained(TuneConfig.from_preset(name, seed=0))


def auto() -> bytes:
    return fit_auto(X, Y, classes=CLASSES).head.to_bytes()


def together() -> bytes:
    one = resolve(method="nmtune", config={"epochs": 2}).configs["nmtune"]
    trainer = TogetherTrainer(
        X,
        Y,
        classes=CLASSES,
        configs=[one, one.replace(seed=3)],
        validation=(X[:12], Y[:12]),
    )
    for _ in trainer:
        pass
    return b"".join(fit.head.to_bytes() for fit in trainer.result())


HEAD = of_method("nmtune")()


def served() -> bytes:
    head = Head.from_bytes(HEAD)
    again = head.with_self_test(X[:4])
    folded = fold(head)
    parts = (head.predict_proba(X), head.logits(X), head.transform(X), folded.predict_proba(X))
    return again.to_bytes() + b"".join(part.tobytes() for part in parts)


def measured() -> bytes:
    probabilities = Head.from_bytes(HEAD).predict_proba(X)
    found = (
        spectrum(X).singular_values.tolist(),
        spectrum(X[:4], centering="columns").singular_values.tolist(),
        class_spectra(X, Y, n_classes=3).to_dict(CLASSES),
        evaluate(probabilities, Y, CLASSES).to_dict(),
        find_label_errors(probabilities, Y),
        find_near_duplicates(X[:9], Y[:9], train_x=X, train_y=Y, n_classes=3),
    )
    return repr(found).encode()


def losses() -> bytes:
    z, f = torch.from_numpy(X.copy()), torch.from_numpy(X * 2)
    logits, y = z[:, :3].bfloat16(), torch.from_numpy(Y)
    weights = {"w_consistency": 1.0, "w_covariance": 0.04, "w_dominant": 0.001}
    parts = [*nmtune_loss(logits, y, z, f, **weights), dominant_singular_value_loss(z, 2)]
    assert all(part.dtype == torch.float32 for part in parts)
    return repr([float(part) for part in parts]).encode()


def estimator() -> bytes:
    found = NMTuneClassifier(method="nmtune", epochs=2, random_state=0).fit(X, Y)
    assert (found.predict(X) == found.classes_[found.predict_proba(X).argmax(axis=1)]).all()
    tuned = np.asarray(found.transform(X))
    return found.head_.to_bytes() + tuned.tobytes() + found.decision_function(X).tobytes()


WORKS: dict[str, Callable[[], bytes]] = {
    "nmtune": of_method("nmtune"),
    "mlp": of_method("mlp"),
    "reference": of_method("nmtune", preset="reference"),
    "linear_probe": probe("linear_probe"),
    "whitened_probe": probe("whitened_probe"),
    "robust_probe": probe("robust_probe"),
    "trimmed_probe": probe("trimmed_probe"),
    "mlp_ensemble": lambda: trained(TuneConfig.from_preset("mlp_ensemble", seed=0)),
    "together": together,
    "auto": auto,
    "served": served,
    "measured": measured,
    "losses": losses,
    "estimator": estimator,
}


@pytest.fixture(scope="module")
def usual() -> dict[str, bytes]:
    """What comes out in a process that changed nothing."""
    return {name: work() for name, work in WORKS.items()}


def global_state() -> tuple[Any, ...]:
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.is_anomaly_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        torch.get_num_threads(),
        torch.get_rng_state().numpy().tobytes(),
        np.random.get_state()[1].tobytes(),
        np.geterr(),
        sklearn.get_config(),
    )


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("state", STATES)
def test_a_result_is_the_same_to_the_bit_and_the_state_is_left(
    state: str, work: str, usual: dict[str, bytes]
) -> None:
    with STATES[state]():
        before = global_state()
        found = WORKS[work]()
        assert global_state() == before
    assert found == usual[work]


def test_all_states_at_once(usual: dict[str, bytes]) -> None:
    with ExitStack() as stack:
        for state in STATES.values():
            stack.enter_context(state())
        assert {name: work() for name, work in WORKS.items() if name != "losses"} == {
            name: value for name, value in usual.items() if name != "losses"
        }


def test_the_state_is_the_callers_between_epochs_and_after_an_error() -> None:
    config = resolve(method="nmtune", config={"epochs": 2}).configs["nmtune"]
    with default_dtype(), torch.no_grad():
        for _ in Trainer(X, Y, classes=CLASSES, config=config):
            assert torch.get_default_dtype() == torch.float64
            assert not torch.is_grad_enabled()
        with pytest.raises(DataError, match="row 0"):
            Trainer(X * np.nan, Y, classes=CLASSES, config=config)
        assert torch.get_default_dtype() == torch.float64


def test_products_set_by_backend_are_left_too(usual: dict[str, bytes]) -> None:
    backends = (torch.backends.mkldnn.matmul, torch.backends.cuda.matmul)
    before = [backend.fp32_precision for backend in backends]
    try:
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        assert WORKS["nmtune"]() == usual["nmtune"]
        assert [backend.fp32_precision for backend in backends] == ["bf16", "tf32"]
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


def test_threads_that_compute_together_leave_the_state() -> None:
    from concurrent.futures import ThreadPoolExecutor

    head = Head.from_bytes(HEAD)
    expected = head.predict_proba(X)
    with default_dtype(), ThreadPoolExecutor(4) as threads:
        for found in threads.map(head.predict_proba, [X] * 200):
            np.testing.assert_array_equal(found, expected)
        assert torch.get_default_dtype() == torch.float64
    assert torch_state._n_inside == 0

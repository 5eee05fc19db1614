"""The config: the presets are the method's table, and nothing out of bounds gets in."""

import json
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from nmtune.config import PRESETS, RULES, TuneConfig
from nmtune.errors import ConfigError

ADAMW = {
    "optimiser": "adamw",
    "learning_rate": 1e-3,
    "weight_decay": 1e-4,
    "batch_size": 64,
    "epochs": 30,
    "schedule": "cosine",
    "hidden_multiplier": 4,
    "loss": "cross_entropy",
    "max_steps": None,
    "l2": None,
    "shrinkage": 3.0,
    "trim": False,
    "n_folds": 5,
    "n_bags": 2,
    "hidden_width": 128,
    "input_dropout": 0.3,
    "hidden_dropout": 0.5,
    "patience": 10,
    "seed": 0,
}
PAPER = ADAMW | {
    "preset": "paper",
    "transform": "mlp",
    "scaling": "none",
    "w_consistency": 0.01,
    "w_covariance": 0.01,
    "w_dominant": 0.01,
    "k": 1,
    "consistency_mean_over_dimensions": False,
}
REFERENCE = PAPER | {
    "preset": "reference",
    "transform": "residual_mlp",
    "w_consistency": 1.0,
    "w_covariance": 0.04,
    "w_dominant": 0.001,
    "k": 5,
    "consistency_mean_over_dimensions": True,
}
NO_WEIGHTS: dict[str, Any] = {"w_consistency": 0.0, "w_covariance": 0.0, "w_dominant": 0.0}
PROBE = {"transform": "none", "scaling": "standardise", "optimiser": "lbfgs"}
ENSEMBLE = {
    "transform": "hidden",
    "scaling": "standardise",
    "learning_rate": 2e-3,
    "weight_decay": 0.01,
    "batch_size": 128,
    "epochs": 60,
    "schedule": "constant",
    "patience": 5,
}
BOTTLENECKS = ENSEMBLE | {
    "transform": "bottlenecks",
    "n_bags": 1,
    "hidden_width": 32,
    "hidden_dropout": 0.0,
}
TABLE = {
    "paper": PAPER,
    "reference": REFERENCE,
    "mlp": PAPER | NO_WEIGHTS | {"preset": "mlp"},
    "linear_probe": PAPER | NO_WEIGHTS | PROBE | {"preset": "linear_probe"},
    "whitened_probe": PAPER
    | NO_WEIGHTS
    | PROBE
    | {"preset": "whitened_probe", "transform": "whiten", "scaling": "rms"},
    "mlp_ensemble": PAPER | NO_WEIGHTS | ENSEMBLE | {"preset": "mlp_ensemble"},
    "folded_mlp": PAPER | NO_WEIGHTS | BOTTLENECKS | {"preset": "folded_mlp"},
    "folded_nmtune": PAPER
    | NO_WEIGHTS
    | BOTTLENECKS
    | {"preset": "folded_nmtune", "w_consistency": 0.3, "w_covariance": 0.3},
    "robust_probe": PAPER | NO_WEIGHTS | PROBE | {"preset": "robust_probe", "loss": "gce"},
    "trimmed_probe": PAPER
    | NO_WEIGHTS
    | PROBE
    | {"preset": "trimmed_probe", "transform": "whiten", "scaling": "rms", "trim": True},
}


def refused(**overrides: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        TuneConfig(**overrides)
    return caught.value


@pytest.mark.parametrize("name", TABLE)
def test_presets_are_the_table_of_the_method(name: str) -> None:
    assert TuneConfig.from_preset(name).to_dict() == TABLE[name]


def test_there_is_no_other_preset() -> None:
    assert set(PRESETS) == set(TABLE)


def test_defaults_are_the_paper() -> None:
    assert TuneConfig() == TuneConfig.from_preset("paper")


@pytest.mark.parametrize(
    ("field", "bad", "words"),
    [
        ("epochs", 0, "a whole number from 1 to 10000, got 0"),
        ("epochs", 10_001, "got 10001"),
        ("epochs", 3.0, "a whole number"),
        ("epochs", True, "got True"),
        ("epochs", "30", "got '30'"),
        ("epochs", None, "got nothing"),
        pytest.param("epochs", 10**5000, "got a far larger whole number", id="5000 digits"),
        ("batch_size", 1, "from 2 to 65536, got 1"),
        ("k", 0, "from 1 to 1024"),
        ("hidden_multiplier", 17, "from 1 to 16"),
        ("seed", -1, "from 0 to 4294967295"),
        ("learning_rate", 0.0, "from 1e-08 to 10, got 0.0"),
        ("learning_rate", float("nan"), "got nan"),
        ("learning_rate", float("inf"), "got inf"),
        ("learning_rate", False, "got False"),
        ("weight_decay", -1e-9, "from 0 to 10"),
        ("weight_decay", [0.1], "got a list"),
        ("w_consistency", -0.1, "from 0 to 1e+06"),
        ("w_covariance", 1e7, "from 0 to 1e+06"),
        pytest.param("w_dominant", -(10**400), "a far smaller whole number", id="400 digits"),
        ("consistency_mean_over_dimensions", 1, "true or false, got 1"),
        ("transform", "residual-mlp", "did you mean 'residual_mlp'?"),
        ("scaling", "standardize", "did you mean 'standardise'?"),
        ("schedule", "x" * 1000, "(1000 characters)"),
        ("optimiser", 3, "one of 'adamw', 'lbfgs', got 3"),
        ("preset", "papre", "did you mean 'paper'?"),
        ("l2", 0.0, "or nothing"),
    ],
)
def test_value_out_of_bounds_is_refused_with_its_field_and_bounds(
    field: str, bad: object, words: str
) -> None:
    error = refused(**{field: bad})
    assert error.field == field
    assert error.message.startswith(f"{field} must be ")
    assert words in error.message
    assert len(error.message) < 200


def test_every_field_has_a_rule() -> None:
    assert list(RULES) == [field.name for field in fields(TuneConfig)]


def test_every_field_refuses_nonsense() -> None:
    for field in RULES:
        for nonsense in ({}, object(), b"1", float("nan")):
            assert refused(**{field: nonsense}).field == field


def test_numpy_numbers_become_plain_ones() -> None:
    config = TuneConfig(epochs=np.int64(5), learning_rate=np.float32(0.5), w_dominant=1)  # type: ignore[arg-type]  # what a notebook hands over
    assert config.to_dict() == TuneConfig(epochs=5, learning_rate=0.5, w_dominant=1.0).to_dict()
    assert all(
        type(value) in (str, int, float, bool, type(None)) for value in vars(config).values()
    )


def test_numpy_bool_is_no_number() -> None:
    assert refused(epochs=np.True_).field == "epochs"


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"transform": "none"}, "w_consistency"),
        ({"optimiser": "lbfgs"}, "optimiser"),
        ({"l2": 1.0}, "l2"),
        ({"k": 65}, "k"),
        ({"transform": "none", "optimiser": "lbfgs", **NO_WEIGHTS}, "scaling"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    overrides: dict[str, Any], field: str
) -> None:
    assert refused(**overrides).field == field


def test_the_papers_own_linear_probe_can_be_told() -> None:
    config = TuneConfig(transform="none", learning_rate=0.1, weight_decay=0, **NO_WEIGHTS)
    assert config.optimiser == "adamw"


def test_unknown_override_is_refused_with_the_closest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'learning_rate'") as caught:
        TuneConfig.from_preset("paper", learnig_rate=0.1)
    assert caught.value.field == "learnig_rate"


def test_unknown_preset_is_refused() -> None:
    with pytest.raises(ConfigError, match="one of 'paper', 'reference'") as caught:
        TuneConfig.from_preset("vision")
    assert caught.value.field == "preset"


def test_replace_checks_again_and_leaves_the_original() -> None:
    config = TuneConfig()
    assert config.replace(epochs=3).epochs == 3
    assert config.epochs == 30
    with pytest.raises(ConfigError):
        config.replace(epochs=0)
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        config.replace(epoch=3)


@pytest.mark.parametrize("name", TABLE)
def test_config_survives_json(name: str) -> None:
    config = TuneConfig.from_preset(name, seed=7)
    assert TuneConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_stored_config_without_a_newer_field_takes_its_default() -> None:
    stored = TuneConfig(epochs=3).to_dict()
    del stored["schedule"]
    assert TuneConfig.from_dict(stored) == TuneConfig(epochs=3)


def test_stored_config_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(ConfigError, match="warm_up is not a setting"):
        TuneConfig.from_dict(TuneConfig().to_dict() | {"warm_up": 3})

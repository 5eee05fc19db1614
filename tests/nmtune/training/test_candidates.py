"""What one job trains side by side, from a method and the user's flat settings."""

import json
from typing import Any

import pytest

from nmtune.config import TuneConfig
from nmtune.errors import ConfigError
from nmtune.training.candidates import STEPS_IN_AUTO, Candidates, resolve
from nmtune.vocabulary import METHODS

NO_WEIGHTS = {"w_consistency": 0.0, "w_covariance": 0.0, "w_dominant": 0.0}


def refused(**arguments: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        resolve(**arguments)
    return caught.value


def test_nothing_said_trains_the_paper_beside_its_baselines() -> None:
    candidates = resolve(method="nmtune", config={})
    assert candidates.method == "nmtune"
    assert candidates.configs == {
        "linear_probe": TuneConfig.from_preset("linear_probe"),
        "mlp": TuneConfig.from_preset("paper", **NO_WEIGHTS),
        "nmtune": TuneConfig.from_preset("paper"),
    }
    assert resolve(method="nmtune") == candidates


def test_auto_is_the_default_and_trains_what_it_chooses_from_and_what_it_is_compared_with() -> None:
    assert resolve().method == "auto"
    configs = resolve(config={"seed": 4, "n_folds": 3, "epochs": 7}).configs
    assert tuple(configs) == (
        "linear_probe",
        "robust_probe",
        "trimmed_probe",
        "whitened_probe",
        "mlp_ensemble",
        "mlp",
        "nmtune",
    )
    assert {config.seed for config in configs.values()} == {4}
    assert {config.n_folds for config in configs.values()} == {3}
    steps = {name: config.max_steps for name, config in configs.items() if not config.is_convex}
    assert set(steps.values()) == {STEPS_IN_AUTO}
    assert configs["nmtune"] == TuneConfig.from_preset(
        "folded_nmtune", seed=4, n_folds=3, epochs=7, max_steps=STEPS_IN_AUTO
    )
    assert configs["mlp"] == configs["nmtune"].replace(preset="folded_mlp", **NO_WEIGHTS)
    assert configs["mlp_ensemble"].epochs == 60
    budget = resolve(config={"max_steps": 50}).configs
    assert {one.max_steps for one in budget.values() if not one.is_convex} == {50}


def test_the_published_loop_is_trained_on_request_as_methods_mlp_and_nmtune_do() -> None:
    settings = {"preset": "reference", "k": 2, "seed": 3, "max_steps": 90}
    asked = resolve(config=settings, analyses=["published_loop"])
    alone = resolve(method="nmtune", config=settings).configs
    assert asked.configs["published_mlp"] == alone["mlp"]
    assert asked.configs["published_nmtune"] == alone["nmtune"]
    assert asked.configs["nmtune"] == TuneConfig.from_preset("folded_nmtune", seed=3, max_steps=90)
    assert tuple(asked.configs)[-2:] == ("published_mlp", "published_nmtune")
    assert Candidates.from_dict(json.loads(json.dumps(asked.to_dict()))) == asked


def test_stored_candidates_of_before_the_trimmed_probe_get_one() -> None:
    asked = resolve(config={"seed": 7, "n_folds": 3})
    stored = asked.to_dict()
    del stored["configs"]["trimmed_probe"]
    assert Candidates.from_dict(stored) == asked


def test_ablation_of_auto_leaves_out_the_two_terms_of_the_folded_form() -> None:
    configs = resolve(analyses=["ablation"], config={"w_covariance": 0.5}).configs
    without = [name for name in configs if name.startswith("nmtune_without")]
    assert without == ["nmtune_without_consistency", "nmtune_without_covariance"]
    assert configs[without[0]] == configs["nmtune"].replace(w_consistency=0)
    assert configs[without[1]] == configs["nmtune"].replace(w_covariance=0)


def test_ablation_trains_nmtune_without_each_of_its_terms() -> None:
    candidates = resolve(method="nmtune", config={"k": 2}, analyses=["ablation"])
    whole = candidates.configs["nmtune"]
    for term in ("consistency", "covariance", "dominant"):
        without = candidates.configs[f"nmtune_without_{term}"]
        assert without == whole.replace(**{f"w_{term}": 0.0})
    assert Candidates.from_dict(json.loads(json.dumps(candidates.to_dict()))) == candidates


@pytest.mark.parametrize("method", METHODS[:-1])
def test_each_method_trains_every_simpler_one_too(method: str) -> None:
    assert tuple(resolve(method=method).configs) == METHODS[: METHODS.index(method) + 1]


def test_settings_shape_the_head_and_its_plain_twin_alike() -> None:
    configs = resolve(
        method="nmtune",
        config={"preset": "reference", "epochs": 10, "w_covariance": 0.5, "seed": 3},
    ).configs
    assert configs["nmtune"] == TuneConfig.from_preset(
        "reference", epochs=10, w_covariance=0.5, seed=3
    )
    assert configs["mlp"] == configs["nmtune"].replace(**NO_WEIGHTS)
    assert configs["linear_probe"] == TuneConfig.from_preset("linear_probe", seed=3)


def test_l2_is_the_linear_probes_whatever_the_method() -> None:
    for method in METHODS[:-1]:
        configs = resolve(method=method, config={"l2": 5}).configs
        assert configs["linear_probe"].l2 == 5.0
        assert all(configs[name].l2 is None for name in configs if name != "linear_probe")


def test_linear_probe_alone_takes_a_scaling() -> None:
    configs = resolve(method="linear_probe", config={"scaling": "rms", "seed": 1}).configs
    assert configs == {
        "linear_probe": TuneConfig.from_preset("linear_probe", scaling="rms", seed=1)
    }


@pytest.mark.parametrize(
    ("arguments", "field", "words"),
    [
        ({"method": "nmtun"}, "method", "did you mean 'nmtune'?"),
        ({"method": None}, "method", "got nothing"),
        ({"config": {"preset": "mlp"}}, "preset", "one of 'paper', 'reference'"),
        ({"config": {"preset": None}}, "preset", "got nothing"),
        ({"config": {"epoch": 3}}, "epoch", "did you mean 'epochs'?"),
        ({"config": {"epochs": 0}}, "epochs", "from 1 to 10000"),
        ({"method": "nmtune", "config": {"l2": -1}}, "l2", "or nothing"),
        ({"config": {"l2": 1}}, "l2", "chosen by cross-validation"),
        ({"config": {"hidden_width": 8}}, "hidden_width", "belongs to the MLP ensemble"),
        (
            {"method": "nmtune", "config": {"transform": "none", **NO_WEIGHTS}},
            "transform",
            "'residual_mlp'",
        ),
        (
            {"method": "nmtune", "config": {"transform": "hidden", **NO_WEIGHTS}},
            "transform",
            "'residual_mlp'",
        ),
        ({"config": {"preset": "paper"}}, "preset", "the analysis 'published_loop'"),
        ({"config": {"k": 2}}, "k", "the analysis 'published_loop'"),
        ({"config": {"w_dominant": 0.1}}, "w_dominant", "the analysis 'published_loop'"),
        ({"method": "nmtune", "analyses": ["published_loop"]}, "analyses", "for method 'auto'"),
        ({"analyses": ["ablations"]}, "analyses", "did you mean 'ablation'?"),
        ({"method": "mlp", "analyses": ["ablation"]}, "analyses", "'nmtune' or 'auto'"),
        ({"method": "mlp", "config": {"w_covariance": 0.1}}, "w_covariance", "'nmtune'"),
        ({"method": "linear_probe", "config": {"epochs": 3}}, "epochs", "has no effect"),
        ({"method": "linear_probe", "config": {"preset": "paper"}}, "preset", "linear_probe"),
        ({"compare": False, "config": {"epochs": 3}}, "epochs", "no effect"),
        ({"compare": False, "analyses": ["ablation"]}, "analyses", "is a comparison"),
    ],
)
def test_setting_that_cannot_be_meant_is_refused(
    arguments: dict[str, Any], field: str, words: str
) -> None:
    error = refused(**arguments)
    assert error.field == field
    assert words in error.message


@pytest.mark.parametrize("method", METHODS)
def test_without_comparison_only_what_the_head_needs_is_trained(method: str) -> None:
    compared = resolve(method=method, config={"seed": 9})
    alone = resolve(method=method, config={"seed": 9}, compare=False)
    assert tuple(alone.configs) == alone.of_head == compared.of_head
    assert alone.configs == {name: compared.configs[name] for name in compared.of_head}
    stored = json.loads(json.dumps(alone.to_dict(), sort_keys=True))
    assert Candidates.from_dict(stored) == alone
    assert stored.pop("compare") is False
    if method != "linear_probe":
        with pytest.raises(ConfigError, match="trains"):
            Candidates.from_dict(stored)


@pytest.mark.parametrize("method", METHODS)
def test_candidates_survive_json_in_any_order_of_keys(method: str) -> None:
    candidates = resolve(method=method, config={"seed": 9})
    stored = json.dumps(candidates.to_dict(), sort_keys=True)
    assert Candidates.from_dict(json.loads(stored)) == candidates


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"method": "nmtune"},
        {"method": "nmtune", "configs": {}},
        {"method": "nmtune", "configs": 3},
        {"method": "mlp", "configs": resolve().to_dict()["configs"]},
        {
            "method": "nmtune",
            "configs": resolve(method="nmtune").to_dict()["configs"],
            "analyses": 3,
        },
    ],
)
def test_stored_candidates_that_do_not_fit_their_method_are_refused(stored: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Candidates.from_dict(stored)

"""Candidates: the heads that one job trains side by side, and the config of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from nmtune.config import WEIGHTS, TuneConfig, check_names
from nmtune.config_rules import OneOf
from nmtune.errors import ConfigError
from nmtune.vocabulary import ABLATION_PREFIX, METHODS

ROBUST = ("robust_probe", "trimmed_probe")
"""Candidates of `auto` that are trained only if many labels look wrong."""

ANALYSES = ("ablation", "learning_curve")
"""Analyses that a job can be asked for."""

CHOSEN_FROM = ("linear_probe", *ROBUST, "whitened_probe", "mlp_ensemble")
"""What `auto` chooses from, in training order."""

_ABLATIONS = {f"{ABLATION_PREFIX}{name.removeprefix('w_')}": name for name in WEIGHTS}
_ORDER = (*CHOSEN_FROM, "mlp", "nmtune", *_ABLATIONS)
_PRESETS = {
    "linear_probe": OneOf("linear_probe"),
    "mlp": OneOf("paper", "reference", "mlp"),
    "nmtune": OneOf("paper", "reference"),
    "auto": OneOf("paper", "reference"),
}
_FIRST_PRESET = {"linear_probe": "linear_probe", "mlp": "paper", "nmtune": "paper", "auto": "paper"}
_PROBE_FIELDS = ("preset", "scaling", "l2", "n_folds", "seed")
_BASELINE_FIELDS = ("l2", "n_folds", "seed")
_ENSEMBLE_FIELDS = ("n_bags", "hidden_width", "input_dropout", "hidden_dropout", "patience")
_SHARED_FIELDS_OF_AUTO = ("seed", "n_folds", "max_steps")

STEPS_IN_AUTO = 6000
"""The most gradient steps of each candidate of `auto`, unless config.max_steps is given."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """What a job trains: a method, and one config for it and for what it is compared with.

    Attributes
    ----------
    method : str
        The method asked for. Its head is published; that of "auto" is made of other candidates'.
    configs : mapping of str to TuneConfig
        The config of each candidate, in training order. All share one seed, so that the plain MLP
        starts from the same weights and sees the same batches as the regularised head.
    analyses : tuple of str
        Further analyses, from ANALYSES.
    compare : bool, default=True
        Whether heads are trained only to compare the published one with.
    """

    method: str
    configs: Mapping[str, TuneConfig]
    analyses: tuple[str, ...] = ()
    compare: bool = True

    def __post_init__(self) -> None:
        _check_method(self.method)
        wanted = _names(self.method, self.analyses, compare=self.compare)
        if tuple(self.configs) != wanted:
            raise ConfigError(f"method {self.method!r} trains {', '.join(wanted)}", field="method")

    @property
    def of_head(self) -> tuple[str, ...]:
        """What the published head is made or chosen from, in training order: it comes first."""
        return _of_head(self.method)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: {"method", "configs": {candidate: config}, "analyses", "compare"}."""
        return {
            "method": self.method,
            "configs": {name: config.to_dict() for name, config in self.configs.items()},
            "analyses": list(self.analyses),
            "compare": self.compare,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`, whatever the order of the keys in JSON."""
        try:
            method, stored = values["method"], values["configs"]
            configs = {
                name: TuneConfig.from_dict(stored[name]) for name in _ORDER if name in stored
            }
            analyses = tuple(values.get("analyses", ()))
            compare = bool(values.get("compare", True))
        except (KeyError, TypeError):
            raise ConfigError("candidates are stored as {'method', 'configs'}") from None
        return cls(method=method, configs=configs, analyses=analyses, compare=compare)


def resolve(
    *,
    method: str = "auto",
    config: Mapping[str, Any] | None = None,
    analyses: Sequence[str] = (),
    compare: bool = True,
) -> Candidates:
    """The candidates of one job, from a method and flat settings.

    Parameters
    ----------
    method : {"auto", "nmtune", "mlp", "linear_probe"}, default="auto"
        "auto" chooses from probes and an ensemble by cross-validation, and also trains the other
        methods. Each of those trains itself and every simpler one.
    config : mapping of str to value, optional
        A ``preset`` ("paper", the default, or "reference") and any fields of TuneConfig over it.
        They shape the nmtune candidate; "mlp" is the same config with the three weights 0. The
        linear probe keeps its own preset and takes l2, n_folds and seed (with method
        "linear_probe" scaling too, and no other field). With "auto", seed, n_folds and max_steps
        apply to every candidate.
    analyses : sequence of {"ablation", "learning_curve"}, optional
        "ablation" also trains nmtune without each of its terms; "learning_curve" trains the head on
        growing parts of the rows.
    compare : bool, default=True
        False trains only what the published head is made of or chosen from.

    Returns
    -------
    Candidates

    Raises
    ------
    ConfigError
        A name is unknown, a value out of bounds, or a setting has no effect on the method.

    Examples
    --------
    >>> from nmtune import resolve
    >>> list(resolve(method="nmtune", config={"epochs": 5}).configs)
    ['linear_probe', 'mlp', 'nmtune']
    """
    _check_method(method)
    wanted = _checked_analyses(analyses, method, compare=compare)
    settings = dict(config or {})
    check_names(settings)
    preset = settings.pop("preset", _FIRST_PRESET[method])
    try:
        _PRESETS[method].accept(preset)
    except ValueError as refused:
        raise ConfigError(f"preset for method {method!r} {refused}", field="preset") from None
    if method == "linear_probe":
        configs = {method: _linear_probe(settings)}
    else:
        if method == "auto" and not compare:
            _check_used_by_auto(settings)
        configs = _tuned(method, preset, settings)
        if method == "auto":
            configs |= _chosen_from(settings)
    if "ablation" in wanted:
        configs |= {
            name: configs["nmtune"].replace(**{weight: 0.0}) for name, weight in _ABLATIONS.items()
        }
    names = _names(method, wanted, compare=compare)
    ordered = {name: configs[name] for name in names}
    return Candidates(method=method, configs=ordered, analyses=wanted, compare=compare)


def _of_head(method: str) -> tuple[str, ...]:
    return CHOSEN_FROM if method == "auto" else (method,)


def _names(method: str, analyses: Sequence[str], *, compare: bool) -> tuple[str, ...]:
    if not compare:
        return _of_head(method)
    names = set(METHODS[: METHODS.index(method) + 1]) - {"auto"}
    if method == "auto":
        names |= set(CHOSEN_FROM)
    if "ablation" in analyses:
        names |= set(_ABLATIONS)
    return tuple(name for name in _ORDER if name in names)


def _tuned(method: str, preset: str, settings: Mapping[str, Any]) -> dict[str, TuneConfig]:
    """The configs of linear probe and matched MLP, and of nmtune unless the method is `mlp`."""
    _refuse(settings, _ENSEMBLE_FIELDS, "belongs to the MLP ensemble, whose settings are fixed")
    if method == "auto":
        _refuse(settings, ("l2",), "is chosen by cross-validation with method 'auto'")
    of_probe = {name: settings[name] for name in _BASELINE_FIELDS if name in settings}
    of_tuned = {name: value for name, value in settings.items() if name != "l2"}
    if method == "auto":
        of_tuned = {"max_steps": STEPS_IN_AUTO, **of_tuned}
    tuned = TuneConfig.from_preset(preset, **of_tuned)
    if tuned.transform not in ("mlp", "residual_mlp"):
        raise ConfigError(
            f"transform must be 'mlp' or 'residual_mlp' for method {method!r}: heads with other "
            "transforms have methods of their own",
            field="transform",
        )
    configs = {
        "linear_probe": _linear_probe(of_probe),
        "mlp": tuned.replace(**dict.fromkeys(WEIGHTS, 0.0)),
    }
    if method != "mlp":
        return configs | {"nmtune": tuned}
    for name in WEIGHTS:
        if settings.get(name):
            raise ConfigError(
                f"{name} must be 0 for method 'mlp', the head without regularisers: "
                "use method 'nmtune'",
                field=name,
            )
    return configs


def _chosen_from(settings: Mapping[str, Any]) -> dict[str, TuneConfig]:
    """What `auto` can choose besides the linear probe."""
    of_all = {name: settings[name] for name in _SHARED_FIELDS_OF_AUTO if name in settings}
    steps = {"max_steps": STEPS_IN_AUTO, **of_all}
    of_probe = {name: value for name, value in of_all.items() if name != "max_steps"}
    return {
        name: TuneConfig.from_preset(name, **(of_probe if name.endswith("probe") else steps))
        for name in CHOSEN_FROM
        if name != "linear_probe"
    }


def _linear_probe(settings: Mapping[str, Any]) -> TuneConfig:
    for name in settings:
        if name not in _PROBE_FIELDS:
            raise ConfigError(
                f"{name} has no effect with method 'linear_probe', which takes scaling, l2, "
                "n_folds and seed",
                field=name,
            )
    return TuneConfig.from_preset("linear_probe", **settings)


def _refuse(settings: Mapping[str, Any], names: Sequence[str], why: str) -> None:
    for name in names:
        if name in settings:
            raise ConfigError(f"{name} {why}: leave it out", field=name)


def _check_used_by_auto(settings: Mapping[str, Any]) -> None:
    """Refuse what shapes only the candidates that are left out."""
    for name in settings:
        if name not in _SHARED_FIELDS_OF_AUTO:
            raise ConfigError(
                f"{name} has no effect with method 'auto' and compare false, which trains no MLP "
                "and no NMTune: leave it out",
                field=name,
            )


def _checked_analyses(analyses: Sequence[str], method: str, *, compare: bool) -> tuple[str, ...]:
    for name in analyses:
        try:
            OneOf(*ANALYSES).accept(name)
        except ValueError as refused:
            raise ConfigError(f"analyses {refused}", field="analyses") from None
    if "ablation" in analyses and method not in ("nmtune", "auto"):
        raise ConfigError(
            "analyses 'ablation' needs method 'nmtune' or 'auto': it leaves out NMTune's terms",
            field="analyses",
        )
    if "ablation" in analyses and not compare:
        raise ConfigError(
            "analyses 'ablation' is a comparison, which compare false leaves out: leave out one of "
            "the two",
            field="analyses",
        )
    return tuple(name for name in ANALYSES if name in analyses)


def _check_method(method: object) -> None:
    try:
        OneOf(*METHODS).accept(method)
    except ValueError as refused:
        raise ConfigError(f"method {refused}", field="method") from None

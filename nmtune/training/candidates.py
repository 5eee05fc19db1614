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

ANALYSES = ("ablation", "learning_curve", "published_loop")
"""Analyses that a job can be asked for."""

CHOSEN_FROM = ("linear_probe", *ROBUST, "whitened_probe", "mlp_ensemble")
"""What `auto` chooses from, in training order."""

_ABLATIONS = {f"{ABLATION_PREFIX}{name.removeprefix('w_')}": name for name in WEIGHTS}
_LOOP = {"mlp": "published_mlp", "nmtune": "published_nmtune"}
"""What the published loop's candidates are called beside those of `auto`."""
_ORDER = (*CHOSEN_FROM, "mlp", "nmtune", *_ABLATIONS, *_LOOP.values())
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
_FOLDED_FIELDS = (
    *_SHARED_FIELDS_OF_AUTO,
    *(name for name in WEIGHTS if name != "w_dominant"),
    *("learning_rate", "weight_decay", "batch_size", "epochs"),
)
_FOLDED_WEIGHTS = dict.fromkeys(WEIGHTS, 0.0)

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
        """The inverse of `to_dict`, whatever the order of the keys in JSON.

        So that jobs of an earlier version still run, `auto` gets the trimmed probe that it lacks
        and loses the ablation that its folded NMTune has not.
        """
        try:
            method, stored = values["method"], values["configs"]
            stored = _completed(stored)
            analyses = tuple(values.get("analyses", ()))
            compare = bool(values.get("compare", True))
            configs = {
                name: TuneConfig.from_dict(stored[name]) for name in _ORDER if name in stored
            }
        except (AttributeError, KeyError, TypeError):
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
        "auto" chooses from probes and an ensemble by cross-validation, and to compare also trains
        NMTune and the matched MLP in folds like the ensemble. "nmtune" and "mlp" are the published
        loop on all rows; each method but "auto" trains itself and every simpler one.
    config : mapping of str to value, optional
        A ``preset`` ("paper", the default, or "reference") and any fields of TuneConfig over it.
        They shape the nmtune candidate; "mlp" is the same config with the three weights 0. The
        linear probe keeps its own preset and takes l2, n_folds and seed (with method
        "linear_probe" scaling too, and no other field). With "auto", seed, n_folds and max_steps
        apply to every candidate, and nmtune takes w_consistency, w_covariance, learning_rate,
        weight_decay, batch_size and epochs; with the analysis "published_loop" a preset and all
        fields shape the published loop instead.
    analyses : sequence of {"ablation", "learning_curve", "published_loop"}, optional
        "ablation" also trains nmtune without each of its terms; "learning_curve" trains the head on
        growing parts of the rows; "published_loop", for method "auto", also trains "published_mlp"
        and "published_nmtune": the 30 epochs of the papers, as methods "mlp" and "nmtune" do.
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
    preset = settings.get("preset", _FIRST_PRESET[method])
    try:
        _PRESETS[method].accept(preset)
    except ValueError as refused:
        raise ConfigError(f"preset for method {method!r} {refused}", field="preset") from None
    if method == "auto" and not compare:
        _check_used_by_auto(settings)
    if method == "auto" and "published_loop" not in wanted:
        _check_folded(settings)
    settings.pop("preset", None)
    names = _names(method, wanted, compare=compare)
    if method == "linear_probe":
        configs = {method: _linear_probe(settings)}
    elif method == "auto":
        configs = _of_auto(preset, settings, with_loop="published_loop" in wanted)
    else:
        configs = _tuned(method, preset, settings)
    if "ablation" in wanted:
        configs |= {
            name: configs["nmtune"].replace(**{weight: 0.0})
            for name, weight in _ABLATIONS.items()
            if name in names
        }
    ordered = {name: configs[name] for name in names}
    return Candidates(method=method, configs=ordered, analyses=wanted, compare=compare)


def _completed(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Stored configs of `auto` as they would be today; others as they are."""
    robust = stored.get("robust_probe")
    if robust is None or "trimmed_probe" in stored:
        return dict(stored)
    stored = {name: one for name, one in stored.items() if name != f"{ABLATION_PREFIX}dominant"}
    shared = {name: robust[name] for name in ("seed", "n_folds") if name in robust}
    trimmed = TuneConfig.from_preset("trimmed_probe", **shared)
    return {**stored, "trimmed_probe": trimmed.to_dict()}


def _of_head(method: str) -> tuple[str, ...]:
    return CHOSEN_FROM if method == "auto" else (method,)


def _names(method: str, analyses: Sequence[str], *, compare: bool) -> tuple[str, ...]:
    if not compare:
        return _of_head(method)
    names = set(METHODS[: METHODS.index(method) + 1]) - {"auto"}
    if method == "auto":
        names |= set(CHOSEN_FROM)
        if "published_loop" in analyses:
            names |= set(_LOOP.values())
    if "ablation" in analyses:
        # The folded form has no dominant term.
        names |= {
            name
            for name, weight in _ABLATIONS.items()
            if method != "auto" or weight != "w_dominant"
        }
    return tuple(name for name in _ORDER if name in names)


def _of_auto(preset: str, settings: Mapping[str, Any], *, with_loop: bool) -> dict[str, TuneConfig]:
    """What `auto` chooses from, NMTune and MLP in folds, and the published loop if asked for."""
    loop = _tuned("auto", preset, settings if with_loop else _shared(settings))
    of_folded = _shared(settings) if with_loop else settings
    nmtune = TuneConfig.from_preset("folded_nmtune", **{"max_steps": STEPS_IN_AUTO, **of_folded})
    mlp = nmtune.replace(preset="folded_mlp", **_FOLDED_WEIGHTS)
    configs = {"linear_probe": loop["linear_probe"], "mlp": mlp, "nmtune": nmtune}
    if with_loop:
        configs |= {name: loop[method] for method, name in _LOOP.items()}
    return configs | _chosen_from(settings)


def _shared(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in _SHARED_FIELDS_OF_AUTO if name in settings}


def _check_folded(settings: Mapping[str, Any]) -> None:
    """Raise ConfigError for a setting that only shapes the published loop."""
    _refuse(settings, ("l2",), "is chosen by cross-validation with method 'auto'")
    _refuse(settings, _ENSEMBLE_FIELDS, "belongs to the MLP ensemble, whose settings are fixed")
    for name in settings:
        if name not in _FOLDED_FIELDS:
            raise ConfigError(
                f"{name} shapes the published loop, which method 'auto' only trains with the "
                "analysis 'published_loop': ask for that, use method 'nmtune', or leave it out",
                field=name,
            )


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
    of_all = _shared(settings)
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
    if not compare and (left := [one for one in ("ablation", "published_loop") if one in analyses]):
        raise ConfigError(
            f"analyses {left[0]!r} is a comparison, which compare false leaves out: leave out one "
            "of the two",
            field="analyses",
        )
    if "published_loop" in analyses and method != "auto":
        raise ConfigError(
            "analyses 'published_loop' is for method 'auto': methods 'nmtune' and 'mlp' are the "
            "published loop",
            field="analyses",
        )
    return tuple(name for name in ANALYSES if name in analyses)


def _check_method(method: object) -> None:
    try:
        OneOf(*METHODS).accept(method)
    except ValueError as refused:
        raise ConfigError(f"method {refused}", field="method") from None

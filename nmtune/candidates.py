"""The home of the candidates: which heads one job trains side by side, and with which configs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from nmtune.config import WEIGHTS, TuneConfig, check_names
from nmtune.errors import ConfigError
from nmtune.rules import OneOf

METHODS = ("linear_probe", "mlp", "nmtune")
"""From the simplest to the fullest: a job trains its method and every simpler one beside it."""

_PRESETS = {
    "linear_probe": OneOf("linear_probe"),
    "mlp": OneOf("paper", "reference", "mlp"),
    "nmtune": OneOf("paper", "reference"),
}
_FIRST_PRESET = {"linear_probe": "linear_probe", "mlp": "paper", "nmtune": "paper"}
_OF_THE_LINEAR_PROBE = ("preset", "scaling", "l2", "seed")


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """What a job trains: a method, and one config for it and for each simpler method.

    Attributes:
        method: the one the user asked for; its head is the one that is published.
        configs: by method, simplest first; all of one seed, so that the plain MLP starts from
            the same weights and sees the same batches as the regularised head.
    """

    method: str
    configs: Mapping[str, TuneConfig]

    def __post_init__(self) -> None:
        _check_method(self.method)
        wanted = METHODS[: METHODS.index(self.method) + 1]
        if tuple(self.configs) != wanted:
            raise ConfigError(f"method {self.method!r} trains {', '.join(wanted)}", field="method")

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: {"method", "configs": {method: config}}."""
        configs = {name: config.to_dict() for name, config in self.configs.items()}
        return {"method": self.method, "configs": configs}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The candidates that `to_dict` told, whatever order a JSON store gave the keys."""
        try:
            method, stored = values["method"], values["configs"]
            configs = {
                name: TuneConfig.from_dict(stored[name]) for name in METHODS if name in stored
            }
        except (KeyError, TypeError):
            raise ConfigError("candidates are stored as {'method', 'configs'}") from None
        return cls(method=method, configs=configs)


def resolve(*, method: str = "nmtune", config: Mapping[str, Any] | None = None) -> Candidates:
    """The candidates of one job, from a method and the user's flat settings.

    Args:
        method: `linear_probe`, `mlp` or `nmtune`; every simpler one is trained beside it.
        config: an optional `preset` (`paper` unless given, or `reference`) and any fields of
            TuneConfig over it. They shape the nmtune candidate; `mlp` is the same config with
            the three weights zero; the linear probe keeps its own preset and takes l2 and seed
            (with method `linear_probe` scaling too, and no other field).

    Raises:
        ConfigError: an unknown name, a value out of bounds, or a setting without effect on
            the method.
    """
    _check_method(method)
    settings = dict(config or {})
    check_names(settings)
    preset = settings.pop("preset", _FIRST_PRESET[method])
    try:
        _PRESETS[method].accept(preset)
    except ValueError as refused:
        raise ConfigError(f"preset for method {method!r} {refused}", field="preset") from None
    if method == "linear_probe":
        return Candidates(method=method, configs={method: _linear_probe(settings)})

    of_probe: dict[str, Any] = {name: settings[name] for name in ("l2", "seed") if name in settings}
    configs = {"linear_probe": _linear_probe(of_probe)}
    settings.pop("l2", None)
    tuned = TuneConfig.from_preset(preset, **settings)
    if tuned.transform == "none":
        raise ConfigError(
            f"transform must not be 'none' for method {method!r}: that head is method "
            "'linear_probe'",
            field="transform",
        )
    configs["mlp"] = tuned.replace(**dict.fromkeys(WEIGHTS, 0.0))
    if method == "nmtune":
        configs["nmtune"] = tuned
    else:
        for name in WEIGHTS:
            if settings.get(name):
                raise ConfigError(
                    f"{name} must be 0 for method 'mlp', the head without regularisers: "
                    "use method 'nmtune'",
                    field=name,
                )
    return Candidates(method=method, configs=configs)


def _linear_probe(settings: Mapping[str, Any]) -> TuneConfig:
    for name in settings:
        if name not in _OF_THE_LINEAR_PROBE:
            raise ConfigError(
                f"{name} does nothing for method 'linear_probe', which takes scaling, l2 and seed",
                field=name,
            )
    return TuneConfig.from_preset("linear_probe", **settings)


def _check_method(method: object) -> None:
    try:
        OneOf(*METHODS).accept(method)
    except ValueError as refused:
        raise ConfigError(f"method {refused}", field="method") from None

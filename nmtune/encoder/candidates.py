"""What a job of paradigm `lora` trains beside the heads on frozen embeddings, and which is kept."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from nmtune.encoder.config import WEIGHTS, LoraConfig, check_names
from nmtune.errors import ConfigError
from nmtune.vocabulary import FULL_FINETUNING, LORA, LORA_NMTUNE

ANALYSES: Final = (FULL_FINETUNING,)
"""Analyses that such a job can be asked for."""

NMTUNE_SHARES: Final[Mapping[str, float]] = dict.fromkeys(WEIGHTS, 0.3)
"""What LoRA with NMTune's terms takes unless told otherwise.

Of the shares 0.03, 0.1 and 0.3 of the covariance and dominant terms, with and without consistency,
these had the least log loss on 300 validation rows: 600 intents, MiniLM, one seed.
"""

HELD_OUT: Final = 0.2
"""The share of training rows that adapted candidates do not learn from, to be judged on."""

_FULL_RATE: Final = 5e-5
"""The rate of full fine-tuning; that of an adapter would destroy the encoder."""


@dataclass(frozen=True, kw_only=True)
class LoraCandidates:
    """The configs of a job's adapted candidates, in training order; all share one seed."""

    configs: Mapping[str, LoraConfig]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"configs": {name: one.to_dict() for name, one in self.configs.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`, whatever the order of the keys in JSON."""
        try:
            stored = values["configs"]
            configs = {
                name: LoraConfig.from_dict(stored[name])
                for name in (LORA, LORA_NMTUNE, FULL_FINETUNING)
                if name in stored
            }
        except (AttributeError, KeyError, TypeError):
            raise ConfigError("adapted candidates are stored as {'configs'}") from None
        return cls(configs=configs)


def resolve_lora(config: Mapping[str, Any], *, analyses: Sequence[str] = ()) -> LoraCandidates:
    """The adapted candidates of a job, from flat settings.

    LoRA is the config without NMTune's terms, LoRA with NMTune's terms the same with them, and
    full fine-tuning, with the analysis of that name, trains all weights. Raises ConfigError.
    """
    settings = dict(config)
    check_names(settings)
    preset = settings.pop("preset", "default")
    for name in analyses:
        if name not in ANALYSES:
            raise ConfigError(
                f"analyses {name!r} is not for paradigm 'lora', which has {', '.join(ANALYSES)}",
                field="analyses",
            )
    whole = LoraConfig.from_preset(preset, **settings)
    if whole.terms == "shares":
        whole = whole.replace(**{name: settings.get(name, NMTUNE_SHARES[name]) for name in WEIGHTS})
    plain = whole.replace(**dict.fromkeys(WEIGHTS, 0.0))
    configs = {LORA: plain}
    if whole.is_regularised:
        configs[LORA_NMTUNE] = whole
    if FULL_FINETUNING in analyses:
        configs[FULL_FINETUNING] = plain.replace(learning_rate=_FULL_RATE)
    return LoraCandidates(configs=configs)


def n_steps(config: LoraConfig, *, n_train: int, has_validation: bool) -> int:
    """Steps of a candidate's training; without validation rows a fifth of the rows is held out."""
    return config.n_steps(n_train if has_validation else n_train - math.floor(HELD_OUT * n_train))

"""LoraConfig: every setting of an adapter's training, named, bounded and checked."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import Any, Final, Literal, Self

from nmtune.config_rules import Number, OneOf, Rule, Whole
from nmtune.encoder.architecture import Targets
from nmtune.errors import ConfigError

Terms = Literal["shares", "published"]
Start = Literal["probe", "random"]

WEIGHTS: Final = ("w_consistency", "w_covariance", "w_dominant")

RULES: Final[Mapping[str, Rule]] = {
    "preset": OneOf("default", "reference"),
    "rank": Whole(1, 256),
    "alpha": Number(0.01, 4096),
    "targets": OneOf("all", "attention", "mlp"),
    "epochs": Whole(1, 100),
    "batch_size": Whole(2, 1024),
    "learning_rate": Number(1e-8, 1),
    "head_learning_rate": Number(1e-8, 1),
    "weight_decay": Number(0, 10),
    "warmup": Number(0, 0.5),
    "max_tokens": Whole(4, 8192),
    "start": OneOf("probe", "random"),
    "terms": OneOf("shares", "published"),
    "w_consistency": Number(0, 1e6),
    "w_covariance": Number(0, 1e6),
    "w_dominant": Number(0, 1e6),
    "k": Whole(1, 1024),
    "seed": Whole(0, 2**32 - 1),
}
"""What each field of LoraConfig may be."""


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """How an encoder is adapted to labelled texts. The defaults are the preset ``default``.

    Attributes
    ----------
    preset : {"default", "reference"}
        The preset that the values started from. "reference" is what the authors' code runs with
        LoRA: MLP layers alone, a random head, the two published terms on the pooled vectors.
    rank : int, default=8
        Of every adapted layer's change.
    alpha : float, default=16
        The change is multiplied by alpha / rank.
    targets : {"all", "attention", "mlp"}, default="all"
        The linear layers to adapt, in every block.
    epochs, batch_size : int, default=3, 32
        Passes over the training texts, and texts per step. The terms depend on the batch.
    learning_rate, head_learning_rate : float, default=1e-3, 1e-3
        Of the adapter and of the head, for AdamW with a cosine schedule.
    weight_decay : float, default=0.01
        For both.
    warmup : float, default=0.06
        The share of all steps in which the rate rises.
    max_tokens : int, default=128
        Training texts are cut to so many tokens for the training's steps, or to what the encoder
        takes if that is less. Vectors are always of as many as the encoder takes.
    start : {"probe", "random"}, default="probe"
        The head starts as the solved linear probe, or at random.
    terms : {"shares", "published"}, default="shares"
        "shares": each weight is the length of the term's gradient in the pooled vectors as a share
        of the cross-entropy's, so that it carries over between encoders. "published": the weighted
        sum of the paper's code, whose covariance grows with the fourth power of the vectors.
    w_consistency, w_covariance, w_dominant : float, default=0
        Weights of the terms.
    k : int, default=5
        How many leading singular values the dominant term rewards; at most batch_size.
    seed : int, default=0
        For the adapter's first values, the head's, and the order of texts.

    Raises
    ------
    ConfigError
        A value is out of bounds, or settings do not go together; ``field`` names the setting.

    Examples
    --------
    >>> from nmtune.encoder.config import LoraConfig
    >>> LoraConfig.from_preset("reference").targets
    'mlp'
    """

    preset: str = "default"
    rank: int = 8
    alpha: float = 16.0
    targets: Targets = "all"
    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 1e-3
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.06
    max_tokens: int = 128
    start: Start = "probe"
    terms: Terms = "shares"
    w_consistency: float = 0.0
    w_covariance: float = 0.0
    w_dominant: float = 0.0
    k: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for name, rule in RULES.items():
            try:
                plain = rule.accept(getattr(self, name))
            except ValueError as refused:
                raise ConfigError(f"{name} {refused}", field=name) from None
            object.__setattr__(self, name, plain)
        if self.k > self.batch_size:
            raise ConfigError(
                f"k must be at most batch_size ({self.batch_size}), got {self.k}", field="k"
            )

    @property
    def is_regularised(self) -> bool:
        """Whether any of the terms takes part."""
        return any(getattr(self, name) for name in WEIGHTS)

    def n_steps(self, n_rows: int) -> int:
        """Steps of the whole training; a last batch that is not full is left out."""
        return self.epochs * max(1, n_rows // self.batch_size)

    @classmethod
    def from_preset(cls, name: object = "default", **overrides: Any) -> Self:
        """The preset with some fields replaced; ConfigError if a name is unknown."""
        try:
            known = str(RULES["preset"].accept(name))
        except ValueError as refused:
            hint = ": the paper does not state its LoRA settings" if name == "paper" else ""
            raise ConfigError(f"preset {refused}{hint}", field="preset") from None
        check_names(overrides)
        return cls(**{**PRESETS[known], **overrides})

    def replace(self, **changes: Any) -> Self:
        """This config with some fields replaced, checked again."""
        check_names(changes)
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; a missing field takes its default."""
        check_names(values)
        return cls(**values)


def check_names(names: Iterable[str]) -> None:
    """Raise ConfigError for the first name that is not a field, and suggest the closest one."""
    for name in names:
        if name not in RULES:
            close = get_close_matches(name, RULES, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(RULES)}"
            raise ConfigError(f"{name} is not a setting of LoRA: {hint}", field=name)


PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    "default": {"preset": "default"},
    "reference": {
        "preset": "reference",
        "alpha": 8.0,
        "targets": "mlp",
        "epochs": 10,
        "batch_size": 128,
        "weight_decay": 0.1,
        "warmup": 0.0,
        "start": "random",
        "terms": "published",
        "w_covariance": 0.04,
        "w_dominant": 0.001,
    },
}
"""What each preset changes from the defaults.

The authors' code (github.com/Hhhhhhao/Noisy-Model-Learning, `nml_finetune.py --lora`): peft with
rank 8 and its defaults for alpha and dropout, the blocks' two MLP layers, AdamW at 1e-3 with decay
0.1 and a cosine, 10 epochs of batches of 128, cross-entropy + 0.04 covariance - 0.001 of the five
leading singular values' share, and no consistency term.
"""

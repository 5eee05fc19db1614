"""TuneConfig: every setting that a head is trained with, named, bounded and checked."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal, Self

from nmtune.config_rules import Flag, Number, OneOf, Rule, Whole
from nmtune.errors import ConfigError

Transform = Literal["none", "mlp", "residual_mlp", "whiten", "hidden", "bottlenecks"]
ScalingKind = Literal["none", "rms", "standardise"]
Optimiser = Literal["adamw", "lbfgs"]
Schedule = Literal["cosine", "linear", "constant"]
Loss = Literal["cross_entropy", "gce"]

WEIGHTS = ("w_consistency", "w_covariance", "w_dominant")
"""The weights of the three regularisers; with all zero, the head is the matched MLP."""

_TERMS_OF: dict[str, tuple[str, ...]] = {
    "mlp": WEIGHTS,
    "residual_mlp": WEIGHTS,
    "bottlenecks": ("w_consistency", "w_covariance"),
}

RULES: dict[str, Rule] = {
    "preset": OneOf(
        "paper",
        "reference",
        "linear_probe",
        "mlp",
        "whitened_probe",
        "mlp_ensemble",
        "robust_probe",
        "trimmed_probe",
        "folded_mlp",
        "folded_nmtune",
    ),
    "transform": OneOf("none", "mlp", "residual_mlp", "whiten", "hidden", "bottlenecks"),
    "hidden_multiplier": Whole(1, 16),
    "scaling": OneOf("none", "rms", "standardise"),
    "w_consistency": Number(0, 1e6),
    "w_covariance": Number(0, 1e6),
    "w_dominant": Number(0, 1e6),
    "k": Whole(1, 1024),
    "consistency_mean_over_dimensions": Flag(),
    "loss": OneOf("cross_entropy", "gce"),
    "optimiser": OneOf("adamw", "lbfgs"),
    "learning_rate": Number(1e-8, 10),
    "weight_decay": Number(0, 10),
    "batch_size": Whole(2, 65536),
    "epochs": Whole(1, 10_000),
    "max_steps": Whole(1, 10**9, optional=True),
    "schedule": OneOf("cosine", "linear", "constant"),
    "l2": Number(1e-8, 1e8, optional=True),
    "shrinkage": Number(1e-6, 1e6),
    "trim": Flag(),
    "n_folds": Whole(2, 20),
    "n_bags": Whole(1, 20),
    "hidden_width": Whole(1, 4096),
    "input_dropout": Number(0, 0.95),
    "hidden_dropout": Number(0, 0.95),
    "patience": Whole(1, 10_000),
    "seed": Whole(0, 2**32 - 1),
}
"""What each field of TuneConfig may be."""


@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """How one head is trained. The defaults are the preset ``paper`` (arXiv 2309.17002).

    Every field is checked on construction. Numbers are kept as plain int and float, so `to_dict`
    is ready for JSON.

    Attributes
    ----------
    preset : str, default="paper"
        The preset that the values started from; a label without effect.
    transform : {"mlp", "residual_mlp", "none", "whiten", "hidden", "bottlenecks"}, default="mlp"
        The map from embeddings F (n, d) to tuned embeddings Z (n, d). "mlp" is
        Linear(d, m d) - ReLU - Linear(m d, d). "residual_mlp" is
        F + scale * [Linear - BatchNorm - ReLU - Linear] with a learnt scale (d,). "none" is Z = F.
        "whiten" is the linear map that makes the training rows' covariance within a class the
        identity. "hidden" is ReLU(Linear(d, m)): the hidden layers of an ensemble of small MLPs
        side by side. "bottlenecks" is F + the mean over members of U ReLU(V F), each member with a
        bottleneck of hidden_width units and a classifier of its own.
    hidden_multiplier : int, default=4
        m, the hidden width over d.
    scaling : {"none", "rms", "standardise"}, default="none"
        Applied before the transform, measured on the training rows and kept in the head. "rms"
        divides by one factor that brings the root-mean-square entry to 1; "standardise" brings
        each column to mean 0 and deviation 1.
    w_consistency, w_covariance, w_dominant : float, default=0.01
        Weights of the regularisers (see `nmtune_loss`). With "bottlenecks", w_consistency and
        w_covariance are the lengths of the terms' gradients in Z, as shares of the cross-entropy's,
        and the covariance is that of columns of unit variance; there is no dominant term.
    k : int, default=1
        How many leading singular values the dominant term rewards; at most batch_size.
    consistency_mean_over_dimensions : bool, default=False
        Divide the consistency term by d too.
    loss : {"cross_entropy", "gce"}, default="cross_entropy"
        "gce" is the generalised cross-entropy (1 - p_y^q) / q with q = 0.7 (Zhang & Sabuncu 2018,
        arXiv 1805.07836), on which a wrong label pulls less; only for optimiser "lbfgs".
    optimiser : {"adamw", "lbfgs"}, default="adamw"
        "adamw" trains by mini-batches. "lbfgs" solves a linear probe's convex objective on all rows
        at once; it needs a scaling (or transform "whiten") and uses only l2, trim, n_folds and
        seed of the fields below.
    learning_rate, weight_decay : float, default=1e-3, 1e-4
        For AdamW.
    batch_size : int, default=64
        Rows per mini-batch. The regularisers depend on it, so it is part of the objective.
    epochs : int, default=30
        Passes over the training rows; for an ensemble the most passes.
    max_steps : int, optional
        The most gradient steps; fewer epochs are trained if they would take more.
    schedule : {"cosine", "linear", "constant"}, default="cosine"
        How the learning rate falls to 0, step by step.
    l2 : float, optional
        A linear probe's penalty: sum of cross-entropies + l2 / 2 * ||W||^2, so l2 = 1 / C of
        scikit-learn's LogisticRegression (2 / C for two classes, where it keeps one weight vector
        instead of two). None: chosen by cross-validation.
    shrinkage : float, default=3.0
        For "whiten": what is added to the covariance's diagonal, in units of its mean.
    trim : bool, default=False
        For optimiser "lbfgs": learn again without the rows whose label the cross-validation
        contradicts; without effect if l2 is given.
    n_folds : int, default=5
        Folds of the cross-validation that chooses l2 and stops an ensemble's members.
    n_bags : int, default=2
        For "hidden" and "bottlenecks": how often the rows are divided into folds; there are
        n_bags * n_folds members.
    hidden_width : int, default=128
        For the same: hidden units of each member.
    input_dropout, hidden_dropout : float, default=0.3, 0.5
        For the same: shares of inputs and hidden units dropped at random in training.
    patience : int, default=10
        For the same: a member stops after this many epochs without a better held-out loss.
    seed : int, default=0
        For the initial weights, the order of rows and the folds.

    Raises
    ------
    ConfigError
        A value is out of bounds, or settings do not go together; ``field`` names the setting.

    Examples
    --------
    >>> from nmtune import TuneConfig
    >>> config = TuneConfig.from_preset("paper", epochs=5)
    >>> config.epochs, config.w_covariance
    (5, 0.01)
    >>> config.replace(seed=1).seed
    1
    """

    preset: str = "paper"
    transform: Transform = "mlp"
    hidden_multiplier: int = 4
    scaling: ScalingKind = "none"
    w_consistency: float = 0.01
    w_covariance: float = 0.01
    w_dominant: float = 0.01
    k: int = 1
    consistency_mean_over_dimensions: bool = False
    loss: Loss = "cross_entropy"
    optimiser: Optimiser = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    batch_size: int = 64
    epochs: int = 30
    max_steps: int | None = None
    schedule: Schedule = "cosine"
    l2: float | None = None
    shrinkage: float = 3.0
    trim: bool = False
    n_folds: int = 5
    n_bags: int = 2
    hidden_width: int = 128
    input_dropout: float = 0.3
    hidden_dropout: float = 0.5
    patience: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name, rule in RULES.items():
            try:
                plain = rule.accept(getattr(self, name))
            except ValueError as refused:
                raise _wrong(name, str(refused)) from None
            object.__setattr__(self, name, plain)
        self._check_together()

    def _check_together(self) -> None:
        if self.is_convex:
            self._check_convex()
        elif self.loss == "gce":
            raise _wrong("loss", "'gce' is for optimiser 'lbfgs'")
        if self.trim and not self.is_convex:
            raise _wrong("trim", "is for optimiser 'lbfgs', whose folds it needs")
        for name in WEIGHTS:
            if getattr(self, name) and name not in _TERMS_OF.get(self.transform, ()):
                raise _wrong(
                    name,
                    f"must be 0 with transform {self.transform!r}: the terms are for 'mlp' and "
                    "'residual_mlp', and for 'bottlenecks' all but w_dominant",
                )
        if self.transform == "whiten" and not self.is_convex:
            raise _wrong("optimiser", "must be 'lbfgs' with transform 'whiten'")
        if self.l2 is not None and not self.is_convex:
            raise _wrong("l2", "is for optimiser 'lbfgs': with 'adamw' set weight_decay")
        if self.k > self.batch_size:
            raise _wrong("k", f"must be at most batch_size ({self.batch_size}), got {self.k}")

    def _check_convex(self) -> None:
        if self.transform not in ("none", "whiten"):
            raise _wrong(
                "optimiser",
                "'lbfgs' fits the linear probes only: use 'adamw', or transform 'none' or 'whiten'",
            )
        if self.transform == "none" and self.scaling == "none":
            raise _wrong(
                "scaling",
                "must be 'standardise' or 'rms' with optimiser 'lbfgs', whose penalty depends on "
                "the scale of the columns",
            )

    @property
    def is_convex(self) -> bool:
        """Whether all rows are solved at once (the linear probes) rather than by mini-batches."""
        return self.optimiser == "lbfgs"

    @property
    def is_folded(self) -> bool:
        """Whether members are trained side by side, each stopped by a fold that it never saw."""
        return self.transform in ("hidden", "bottlenecks")

    @property
    def n_members(self) -> int:
        """How many networks the trained one holds side by side."""
        return self.n_bags * self.n_folds if self.is_folded else 1

    def n_epochs(self, n_steps: int) -> int:
        """How many epochs to train if one takes n_steps steps; at least 1."""
        if self.max_steps is None:
            return self.epochs
        return max(1, min(self.epochs, self.max_steps // n_steps))

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> Self:
        """The preset `name` with some fields replaced; ConfigError if a name is unknown."""
        try:
            RULES["preset"].accept(name)
        except ValueError as refused:
            raise _wrong("preset", str(refused)) from None
        check_names(overrides)
        return cls(**{**PRESETS[name], **overrides})

    def replace(self, **changes: Any) -> Self:
        """This config with some fields replaced, checked again."""
        check_names(changes)
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; a missing field takes its default.

        So a config that was stored before a field existed still loads, with the meaning it had.
        """
        check_names(values)
        return cls(**values)


def check_names(names: Iterable[str]) -> None:
    """Raise ConfigError for the first name that is not a field, and suggest the closest one."""
    for name in names:
        if name not in RULES:
            close = get_close_matches(name, RULES, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(RULES)}"
            raise _wrong(name, f"is not a setting: {hint}")


def _wrong(field: str, what: str) -> ConfigError:
    return ConfigError(f"{field} {what}", field=field)


_NO_WEIGHTS: dict[str, Any] = dict.fromkeys(WEIGHTS, 0.0)

_PROBE: dict[str, Any] = {"transform": "none", "optimiser": "lbfgs", **_NO_WEIGHTS}
_WHITENED: dict[str, Any] = {**_PROBE, "transform": "whiten", "scaling": "rms"}
_ENSEMBLE: dict[str, Any] = {
    "transform": "hidden",
    "scaling": "standardise",
    "learning_rate": 2e-3,
    "weight_decay": 0.01,
    "batch_size": 128,
    "epochs": 60,
    "schedule": "constant",
    "patience": 5,
    **_NO_WEIGHTS,
}
_BOTTLENECKS: dict[str, Any] = {
    **_ENSEMBLE,
    "transform": "bottlenecks",
    "n_bags": 1,
    "hidden_width": 32,
    "hidden_dropout": 0.0,
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": {"preset": "paper"},
    "reference": {
        "preset": "reference",
        "transform": "residual_mlp",
        "w_consistency": 1.0,
        "w_covariance": 0.04,
        "w_dominant": 0.001,
        "k": 5,
        "consistency_mean_over_dimensions": True,
    },
    "mlp": {"preset": "mlp", **_NO_WEIGHTS},
    "linear_probe": {"preset": "linear_probe", "scaling": "standardise", **_PROBE},
    "whitened_probe": {"preset": "whitened_probe", **_WHITENED},
    "mlp_ensemble": {"preset": "mlp_ensemble", **_ENSEMBLE},
    "robust_probe": {**_PROBE, "preset": "robust_probe", "scaling": "standardise", "loss": "gce"},
    "trimmed_probe": {**_WHITENED, "preset": "trimmed_probe", "trim": True},
    "folded_mlp": {"preset": "folded_mlp", **_BOTTLENECKS},
    "folded_nmtune": {
        **_BOTTLENECKS,
        "preset": "folded_nmtune",
        "w_consistency": 0.3,
        "w_covariance": 0.3,
    },
}
"""What each preset changes from the defaults.

`paper` is the method of arXiv 2309.17002, `reference` what its authors' code runs, `mlp` the
paper's head without its terms, `linear_probe` an L2-tuned logistic regression on standardised
embeddings, `whitened_probe` the same on embeddings whitened within classes, `mlp_ensemble` an
average of small early-stopped MLPs, `folded_nmtune` an average of early-stopped bottlenecks with
two of NMTune's terms, `folded_mlp` the same without them, and two are for many wrong labels:
`robust_probe`, a linear probe, and `trimmed_probe`, a whitened probe without the rows whose label
looks wrong.
"""

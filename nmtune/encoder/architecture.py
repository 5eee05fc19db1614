"""Architecture: the shape of a BERT-like encoder, and the names of its tensors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import DataError

Targets = Literal["all", "attention", "mlp"]
Pooling = Literal["mean", "cls"]
Activation = Literal["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish"]

RELATIVE_BIAS: Final = "encoder.relative_attention_bias.weight"
"""MPNet's alone: (N_BUCKETS, n_heads), added to the scores of attention."""
N_BUCKETS: Final = 32

_ATTENTION: Final = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
)
_MLP: Final = ("intermediate.dense", "output.dense")
LINEAR_LAYERS: Final[Mapping[Targets, tuple[str, ...]]] = {
    "all": (*_ATTENTION, *_MLP),
    "attention": _ATTENTION,
    "mlp": _MLP,
}
"""The linear layers of a block that each choice of targets adapts, by their BERT names."""

_EMBEDDINGS: Final = ("word_embeddings", "position_embeddings", "token_type_embeddings")
_NORMS: Final = ("attention.output.LayerNorm", "output.LayerNorm")


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A BERT, RoBERTa, MPNet or DistilBERT: blocks normed after each part, mean or CLS pooling.

    Attributes
    ----------
    n_layers, n_heads, width, inner_width : int
        Blocks, attention heads, d, and the width between a block's two MLP layers.
    epsilon : float, default=1e-12
        Of every LayerNorm.
    activation : str, default="gelu"
        Between a block's two MLP layers, as transformers names it.
    first_position : int, default=0
        The row of the first token's position: RoBERTa and MPNet begin after the padding's.
    has_token_types, has_relative_bias : bool, default=True, False
        DistilBERT and MPNet have no token types, MPNet a bias by relative position.
    pooling : {"mean", "cls"}, default="mean"
        The mean over a text's tokens, or its first token.
    normalised : bool, default=True
        Whether vectors are brought to length 1.
    """

    n_layers: int
    n_heads: int
    width: int
    inner_width: int
    epsilon: float = 1e-12
    activation: Activation = "gelu"
    first_position: int = 0
    has_token_types: bool = True
    has_relative_bias: bool = False
    pooling: Pooling = "mean"
    normalised: bool = True

    def linear_layers(self, targets: Targets = "all") -> Iterator[tuple[str, int, int]]:
        """Name, outputs and inputs of each linear layer in `targets`, from the first block on."""
        for layer in range(self.n_layers):
            for name in LINEAR_LAYERS[targets]:
                n_out = self.inner_width if name == "intermediate.dense" else self.width
                n_in = self.inner_width if name == "output.dense" else self.width
                yield f"encoder.layer.{layer}.{name}", n_out, n_in

    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        """The shape of every tensor that the forward pass reads; None where any size will do."""
        d = self.width
        found: dict[str, tuple[int | None, ...]] = {
            f"embeddings.{name}.weight": (None, d)
            for name in _EMBEDDINGS
            if self.has_token_types or name != "token_type_embeddings"
        }
        if self.has_relative_bias:
            found[RELATIVE_BIAS] = (N_BUCKETS, self.n_heads)
        norms = ["embeddings.LayerNorm"]
        for layer in range(self.n_layers):
            norms += [f"encoder.layer.{layer}.{name}" for name in _NORMS]
        for name in norms:
            found |= {f"{name}.weight": (d,), f"{name}.bias": (d,)}
        for name, n_out, n_in in self.linear_layers():
            found |= {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}
        return found

    def check(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        """Raise DataError unless every tensor is there, in its shape and finite."""
        for name, shape in self.shapes().items():
            found = tensors.get(name)
            if found is None:
                raise DataError(f"the encoder lacks the tensor {name}", field="encoder")
            fits = len(found.shape) == len(shape) and all(
                wanted in (None, size) for wanted, size in zip(shape, found.shape, strict=True)
            )
            if not fits:
                raise DataError(
                    f"the encoder's tensor {name} has shape {found.shape}, but "
                    f"{tuple('any' if one is None else one for one in shape)} is needed",
                    field="encoder",
                )
            if not np.isfinite(found).all():
                raise DataError(f"the encoder's tensor {name} is not finite", field="encoder")

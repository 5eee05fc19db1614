"""The forward pass of a BERT-like encoder in torch, with or without an adapter."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nmtune.encoder.adapter import Adapter, Pair
from nmtune.encoder.architecture import N_BUCKETS, RELATIVE_BIAS, Activation, Architecture
from nmtune.numeric.torch_state import own_state

TOKENS_AT_A_TIME: Final = 4096
"""Padded tokens of one pass without gradients: about 100 MB of activations for a MiniLM."""

Tokens = Sequence[NDArray[np.integer[Any]]]
"""The token ids of n texts, each (length,), cut to what the encoder takes."""

_UNIT_EPSILON: Final = 1e-12
_FARTHEST: Final = 128
"""Positions that are farther apart share a bucket of MPNet's bias."""

_ACTIVATIONS: Final[Mapping[Activation, Callable[[Tensor], Tensor]]] = {
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
    "swish": functional.silu,
}


class EncoderNetwork:
    """Token ids in, pooled vectors (n, d) out; weights by the names in `Architecture.shapes`."""

    def __init__(self, architecture: Architecture, weights: dict[str, Tensor]) -> None:
        self.architecture = architecture
        self.weights = weights

    @classmethod
    def load(
        cls, architecture: Architecture, tensors: Mapping[str, NDArray[Any]], *, device: str = "cpu"
    ) -> Self:
        """The network in float32, on `device`. Raises DataError for tensors that do not fit."""
        architecture.check(tensors)
        weights = {
            name: torch.from_numpy(np.array(tensors[name], np.float32)).to(device)
            for name in architecture.shapes()
        }
        return cls(architecture, weights)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(iter(self.weights.values())).device

    @property
    def n_positions(self) -> int:
        """The most tokens that a text may have."""
        n_rows = len(self.weights["embeddings.position_embeddings.weight"])
        return n_rows - self.architecture.first_position

    @property
    def n_tokens(self) -> int:
        """The size of the vocabulary."""
        return len(self.weights["embeddings.word_embeddings.weight"])

    def pooled(
        self, ids: Tensor, mask: Tensor, pairs: Mapping[str, Pair] | None = None, scale: float = 1.0
    ) -> Tensor:
        """Pooled vectors (n, d) of ids and mask (n, length), not yet brought to length 1.

        pairs, scale: of an adapter; see `Adapter`.
        """
        form, n, length = self.architecture, *ids.shape
        pairs = pairs or {}

        def linear(name: str, x: Tensor) -> Tensor:
            y = functional.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])
            if (pair := pairs.get(name)) is None:
                return y
            return y + scale * functional.linear(functional.linear(x, pair.a), pair.b)

        activate = _ACTIVATIONS[form.activation]
        x = self._embedded(ids)
        seen = self._seen(mask)
        for layer in range(form.n_layers):
            name = f"encoder.layer.{layer}"
            query, key, value = (
                linear(f"{name}.attention.self.{part}", x)
                .view(n, length, form.n_heads, -1)
                .transpose(1, 2)
                for part in ("query", "key", "value")
            )
            mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
            mixed = mixed.transpose(1, 2).reshape(n, length, form.width)
            attended = linear(f"{name}.attention.output.dense", mixed)
            x = self._normed(f"{name}.attention.output.LayerNorm", x + attended)
            inner = activate(linear(f"{name}.intermediate.dense", x))
            x = self._normed(f"{name}.output.LayerNorm", x + linear(f"{name}.output.dense", inner))
        if form.pooling == "cls":
            return x[:, 0]
        kept = mask[:, :, None].to(x.dtype)
        return (x * kept).sum(1) / kept.sum(1)

    def _embedded(self, ids: Tensor) -> Tensor:
        first = self.architecture.first_position
        position = self.weights["embeddings.position_embeddings.weight"]
        x = functional.embedding(ids, self.weights["embeddings.word_embeddings.weight"])
        x = x + position[first : first + ids.shape[1]]
        if self.architecture.has_token_types:
            x = x + self.weights["embeddings.token_type_embeddings.weight"][0]
        return self._normed("embeddings.LayerNorm", x)

    def _seen(self, mask: Tensor) -> Tensor:
        """What attention sees: the mask, or MPNet's bias where the mask is set."""
        mask = mask[:, None, None, :]
        if not self.architecture.has_relative_bias:
            return mask
        length = mask.shape[-1]
        bias = functional.embedding(
            _buckets(length).to(mask.device), self.weights[RELATIVE_BIAS]
        ).permute(2, 0, 1)
        return bias[None].masked_fill(~mask, float("-inf"))

    def _normed(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        epsilon = self.architecture.epsilon
        return functional.layer_norm(x, (self.architecture.width,), weight, bias, epsilon)

    @own_state()
    def encode(self, tokens: Tokens, adapter: Adapter | None = None) -> NDArray[np.float32]:
        """The vectors (n, d) of texts, as they are served: of length 1 if the encoder's are."""
        unit = self.architecture.normalised if adapter is None else adapter.normalised
        pairs = None if adapter is None else adapter.on(self.device)
        scale = 1.0 if adapter is None else adapter.scale
        vectors = np.empty((len(tokens), self.architecture.width), np.float32)
        with torch.inference_mode():
            for places in _alike(tokens):
                ids, mask = padded([tokens[place] for place in places], self.device)
                found = self.pooled(ids, mask, pairs, scale)
                vectors[places] = (unit_rows(found) if unit else found).cpu().numpy()
        return vectors


def _buckets(length: int) -> Tensor:
    """The bucket of each pair of positions (length, length): exact when near, then logarithmic."""
    at = torch.arange(length)
    distance = at[:, None] - at[None, :]  # of the query from the key
    half = N_BUCKETS // 2
    near = half // 2
    size = distance.abs()
    far = near + (
        torch.log(size.clamp_min(1).float() / near) / math.log(_FARTHEST / near) * (half - near)
    ).to(torch.int64)
    return (distance < 0) * half + torch.where(size < near, size, far.clamp_max(half - 1))


def unit_rows(x: Tensor) -> Tensor:
    """Rows of x (n, d) brought to length 1."""
    return functional.normalize(x, dim=1, eps=_UNIT_EPSILON)


def padded(tokens: Tokens, device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids and mask (n, length) of texts, padded to the longest."""
    length = max(len(one) for one in tokens)
    ids = np.zeros((len(tokens), length), np.int64)
    mask = np.zeros((len(tokens), length), np.bool_)
    for row, one in enumerate(tokens):
        ids[row, : len(one)] = one
        mask[row, : len(one)] = True
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


def _alike(tokens: Tokens) -> Iterator[list[int]]:
    """Places of texts of similar length, which saves padding."""
    order = sorted(range(len(tokens)), key=lambda place: len(tokens[place]))
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * len(tokens[order[stop]]) <= (
            TOKENS_AT_A_TIME
        ):
            stop += 1
        yield order[start:stop]
        start = stop

"""The forward pass of the encoders in numpy, so that they need no framework.

All families are one network: words, positions and (some) token types, then blocks of attention and
a feed-forward layer, each normalised after its sum. MPNet adds a bias of relative positions.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, expit  # type: ignore[import-untyped]

from providers.local.config import N_BUCKETS, Config
from providers.local.layout import RELATIVE_BIAS

Array = NDArray[np.float32]
Tokens = NDArray[np.int64]
Mask = NDArray[np.bool_]

_FARTHEST: Final = 128
"""The distance from which on MPNet tells relative positions no longer apart."""
_SCORES_AT_A_TIME: Final = 1 << 23
"""This bounds the memory of attention: 32 MB of scores, and twice that for a moment."""


@dataclass(frozen=True)
class Network:
    """A network and its float32 weights, under the names of `layout.shapes`."""

    config: Config
    weights: Mapping[str, Array]

    def hidden(self, tokens: Tokens, mask: Mask) -> Array:
        """The last layer's vectors (n, length, width). Both arguments are (n, length)."""
        x = self._words(tokens)
        # Padding takes no part: its score becomes so low that its weight is 0.
        hidden_from = np.where(mask, np.float32(0), np.float32(-1e9))[:, None, None, :]
        for layer in range(self.config.n_layers):
            x = self._layer(f"encoder.layer.{layer}", x, hidden_from)
        return x

    def _words(self, tokens: Tokens) -> Array:
        summed: Array = self.weights["embeddings.word_embeddings.weight"][tokens]
        summed += self.weights["embeddings.position_embeddings.weight"][self._positions(tokens)]
        if self.config.n_token_types:
            summed += self.weights["embeddings.token_type_embeddings.weight"][0]
        return self._normalised("embeddings.LayerNorm", summed)

    def _positions(self, tokens: Tokens) -> Tokens:
        padding = self.config.padding_id
        if not self.config.counts_from_padding:
            return np.arange(tokens.shape[1])
        kept = tokens != padding
        positions: Tokens = np.cumsum(kept, axis=1) * kept + padding
        return positions

    def _layer(self, name: str, x: Array, hidden_from: Array) -> Array:
        attended = self._attention(f"{name}.attention", x, hidden_from)
        x = self._normalised(f"{name}.attention.output.LayerNorm", x + attended)
        inner = _ACTIVATIONS[self.config.activation](self._linear(f"{name}.intermediate.dense", x))
        return self._normalised(
            f"{name}.output.LayerNorm", x + self._linear(f"{name}.output.dense", inner)
        )

    def _attention(self, name: str, x: Array, hidden_from: Array) -> Array:
        n, length, width = x.shape
        n_heads = self.config.n_heads
        head_width = width // n_heads

        def heads(part: str) -> Array:
            y = self._linear(f"{name}.self.{part}", x)
            split = y.reshape(n, length, n_heads, head_width).transpose(0, 2, 1, 3)
            return np.ascontiguousarray(split)

        query, key, value = heads("query"), heads("key").swapaxes(-1, -2), heads("value")
        query *= np.float32(head_width**-0.5)
        mixed = np.empty((n, length, n_heads, head_width), np.float32)
        step = max(1, _SCORES_AT_A_TIME // (n * n_heads * length))
        for start in range(0, length, step):  # a few of the asking tokens at a time
            scores = query[:, :, start : start + step] @ key
            scores += hidden_from
            if RELATIVE_BIAS in self.weights:
                scores += self._relative_bias(start, start + scores.shape[2], length)
            scores -= scores.max(axis=-1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=-1, keepdims=True)
            mixed[:, start : start + step] = (scores @ value).transpose(0, 2, 1, 3)
        return self._linear(f"{name}.output.dense", mixed.reshape(n, length, width))

    def _relative_bias(self, start: int, stop: int, length: int) -> Array:
        """What MPNet adds to the scores of tokens `start` to `stop`: (n_heads, asking, asked)."""
        distance = np.arange(start, stop)[:, None] - np.arange(length)[None, :]
        bias: Array = self.weights[RELATIVE_BIAS][_buckets(distance)].transpose(2, 0, 1)
        return bias

    def _linear(self, name: str, x: Array) -> Array:
        # Flattened to one matrix: numpy would multiply a stack of matrices one by one.
        flat: Array = x.reshape(-1, x.shape[-1]) @ self.weights[f"{name}.weight"].T
        flat += self.weights[f"{name}.bias"]
        y: Array = flat.reshape(*x.shape[:-1], -1)
        return y

    def _normalised(self, name: str, x: Array) -> Array:
        centred: Array = x - x.mean(axis=-1, keepdims=True)
        epsilon = np.float32(self.config.epsilon)
        centred /= np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)
        centred *= self.weights[f"{name}.weight"]
        centred += self.weights[f"{name}.bias"]
        return centred


def pooled(hidden: Array, mask: Mask, *, pooling: str, normalise: bool) -> Array:
    """One vector (n, width) of each text's token vectors (n, length, width)."""
    if pooling == "cls":
        vectors = hidden[:, 0].copy()
    else:
        kept = mask[:, :, None].astype(np.float32)
        vectors = (hidden * kept).sum(axis=1) / np.maximum(kept.sum(axis=1), 1)
    if normalise:
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors


def _buckets(distance: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bucket of each distance back: exact when near, ever wider when far, as T5 has them."""
    half = N_BUCKETS // 2
    near = half // 2
    far = np.abs(distance)
    scaled = np.log(np.maximum(far, 1).astype(np.float32) / np.float32(near))
    steps = scaled / np.float32(math.log(_FARTHEST / near)) * np.float32(half - near)
    buckets = np.where(far < near, far, np.minimum(near + steps.astype(np.int64), half - 1))
    buckets += half * (distance < 0)
    return buckets


def _gelu(x: Array) -> Array:
    x *= 0.5 * (1 + erf(x * np.float32(2**-0.5)))
    return x


def _gelu_tanh(x: Array) -> Array:
    inner = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x**3)
    x *= 0.5 * (1 + np.tanh(inner))
    return x


def _relu(x: Array) -> Array:
    return np.maximum(x, 0, out=x)


def _silu(x: Array) -> Array:
    x *= expit(x)
    return x


_ACTIVATIONS: Final[Mapping[str, Callable[[Array], Array]]] = {
    "gelu": _gelu,
    "gelu_new": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "relu": _relu,
    "silu": _silu,
    "swish": _silu,
}

"""A small BERT's forward pass in numpy, so that the local encoder needs no framework."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf  # type: ignore[import-untyped]

Array = NDArray[np.float32]
Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Bert:
    """A BERT whose float32 weights are named as in the sentence-transformers files."""

    weights: Mapping[str, Array]
    n_layers: int
    n_heads: int
    epsilon: float

    def embed(self, tokens: Tokens, mask: NDArray[np.bool_]) -> Array:
        """Unit vectors (n, d): the mean over each text's tokens. Both arguments are (n, length)."""
        hidden = self._words(tokens)
        # Padding takes no part: its score becomes so low that its weight is 0.
        hidden_from = np.where(mask, np.float32(0), np.float32(-1e9))[:, None, None, :]
        for layer in range(self.n_layers):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, hidden_from)
        kept = mask[:, :, None].astype(np.float32)
        mean: Array = (hidden * kept).sum(axis=1) / kept.sum(axis=1)
        unit: Array = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return unit

    def _words(self, tokens: Tokens) -> Array:
        names = ("word_embeddings", "position_embeddings", "token_type_embeddings")
        word, position, kind = (self.weights[f"embeddings.{name}.weight"] for name in names)
        summed = word[tokens] + position[: tokens.shape[1]] + kind[0]
        return self._normalised("embeddings.LayerNorm", summed)

    def _layer(self, name: str, x: Array, hidden_from: Array) -> Array:
        attended = self._attention(f"{name}.attention", x, hidden_from)
        x = self._normalised(f"{name}.attention.output.LayerNorm", x + attended)
        inner = self._linear(f"{name}.intermediate.dense", x)
        inner *= 0.5 * (1 + erf(inner * np.float32(2**-0.5)))  # GELU
        return self._normalised(
            f"{name}.output.LayerNorm", x + self._linear(f"{name}.output.dense", inner)
        )

    def _attention(self, name: str, x: Array, hidden_from: Array) -> Array:
        n, length, width = x.shape
        head_width = width // self.n_heads

        def heads(part: str) -> Array:
            y = self._linear(f"{name}.self.{part}", x)
            split = y.reshape(n, length, self.n_heads, head_width).transpose(0, 2, 1, 3)
            return np.ascontiguousarray(split)

        scores = heads("query") @ heads("key").swapaxes(-1, -2)
        scores = scores * np.float32(head_width**-0.5) + hidden_from
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ heads("value")
        return self._linear(
            f"{name}.output.dense", mixed.transpose(0, 2, 1, 3).reshape(n, length, width)
        )

    def _linear(self, name: str, x: Array) -> Array:
        # Flattened to one matrix: numpy would multiply a stack of matrices one by one.
        flat = x.reshape(-1, x.shape[-1]) @ self.weights[f"{name}.weight"].T
        flat += self.weights[f"{name}.bias"]
        y: Array = flat.reshape(*x.shape[:-1], -1)
        return y

    def _normalised(self, name: str, x: Array) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(self.epsilon))
        y: Array = centred / deviation * self.weights[f"{name}.weight"]
        return y + self.weights[f"{name}.bias"]

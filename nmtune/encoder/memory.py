"""The peak memory of an encoder's training, roughly."""

from typing import Final

from nmtune.encoder.architecture import Architecture

BASE_BYTES: Final = 600 << 20
"""Python, torch and the rest of the process."""

_NUMBER: Final = 4


def peak_bytes(
    architecture: Architecture, *, n_weights: int, batch_size: int, n_tokens: int, full: bool
) -> int:
    """Bytes for weights, what the backward pass needs of a batch, and AdamW.

    n_tokens: of the longest text. Each block keeps about ten arrays of the width, two of the inner
    width, and twice the scores of attention.
    """
    kept = 10 * architecture.width + 2 * architecture.inner_width
    kept += 2 * architecture.n_heads * n_tokens
    activations = batch_size * n_tokens * architecture.n_layers * kept
    return BASE_BYTES + _NUMBER * (n_weights * (5 if full else 1) + activations)

"""The batches of an encoder's training, and its learning rate step by step."""

import hashlib
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune.encoder.network import EncoderNetwork, Tokens
from nmtune.errors import DataError

_POOL: Final = 8
"""Texts of so many batches are sorted by length before they are divided, which saves padding."""


def epoch_batches(
    lengths: Sequence[int], *, size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """The rows of each batch of an epoch, from the texts' lengths in tokens.

    They depend on nothing else. A last batch that is not full is left out, since the terms depend
    on the batch; which rows that are differs from epoch to epoch.
    """
    random = np.random.default_rng((seed, epoch))
    size = min(size, len(lengths))
    order = random.permutation(len(lengths))[: len(lengths) // size * size]
    by_row = np.array(lengths)[order]
    batches = []
    for start in range(0, len(order), size * _POOL):
        pool = slice(start, start + size * _POOL)
        by_length = order[pool][np.argsort(by_row[pool], kind="stable")]
        batches += [by_length[at : at + size] for at in range(0, len(by_length), size)]
    return [batches[place] for place in random.permutation(len(batches))]


def rate(step: int, n_steps: int, *, warmup: float) -> float:
    """The factor of the learning rate: it rises, then falls along a cosine."""
    rising = warmup * n_steps
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / n_steps)))
    return cosine if step + 1 >= rising else cosine * (step + 1) / rising


def digest(rows: Sequence[NDArray[Any]], y: NDArray[Any]) -> str:
    """The sha256 of rows and labels, by which a checkpoint knows its training."""
    found = hashlib.sha256(np.ascontiguousarray(y).tobytes())
    for one in rows:
        found.update(np.ascontiguousarray(one).tobytes())
    return found.hexdigest()


def check_rows(network: EncoderNetwork, tokens: Tokens, y: NDArray[Any]) -> None:
    """Raise DataError unless the encoder can read the texts, and each has a label."""
    if not len(tokens) or len(tokens) != len(y):
        raise DataError("there must be as many texts as labels, and at least one", field="texts")
    for row, one in enumerate(tokens):
        if not 1 <= len(one) <= network.n_positions:
            raise DataError(
                f"text {row} has {len(one)} tokens, but the encoder takes 1 to "
                f"{network.n_positions}",
                field="texts",
                row=row,
            )
        if int(one.max()) >= network.n_tokens or int(one.min()) < 0:
            raise DataError(
                f"text {row} has a token that the encoder does not know", field="texts", row=row
            )

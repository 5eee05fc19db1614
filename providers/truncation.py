"""Truncate vectors to their first numbers, for models that were trained so (Matryoshka).

The encoder is asked for whole vectors, whose cost does not depend on the width; what is kept of
them is decided here. So one paid vector serves every width.
"""

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from providers.encoder import Encoder
from providers.errors import InvalidProvider

FIELD: Final = "truncate_dim"

_Vectors = NDArray[np.float32]


def truncated(vectors: _Vectors, truncate_dim: int | None) -> _Vectors:
    """The first numbers of each vector (n, d), scaled to length 1; None: the vectors as they are.

    Raises InvalidProvider if the vectors are not wider than that.
    """
    if truncate_dim is None:
        return vectors
    check_width(truncate_dim, vectors.shape[1])
    first = vectors[:, :truncate_dim]
    lengths = np.linalg.norm(first, axis=1, keepdims=True)
    scaled: _Vectors = (first / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
    return scaled


def check_width(truncate_dim: int | None, n_columns: int | None) -> None:
    """Raise InvalidProvider unless vectors of this width, if it is known, can be truncated so."""
    if truncate_dim is None:
        return
    if truncate_dim < 1:
        raise InvalidProvider(f"{FIELD} must be at least 1.", field=FIELD)
    if n_columns is not None and truncate_dim >= n_columns:
        raise InvalidProvider(
            f"{FIELD} must be less than the width of the model's vectors, which is {n_columns}: it "
            "keeps that many of their numbers.",
            field=FIELD,
        )


def fingerprint_of(encoder: Encoder, whole: str) -> str:
    """The fingerprint of an encoder, given that of the same encoder with whole vectors."""
    if encoder.truncate_dim is None:
        return whole
    return hashlib.sha256(f"{whole} {FIELD}={encoder.truncate_dim}".encode()).hexdigest()

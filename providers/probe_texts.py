"""The probe texts: a few fixed texts whose vectors tell whether an encoder is still the same.

Providers replace models under the same name. So we keep an encoder's signature: the projections of
its probe vectors on fixed directions, which give the distance of two vectors without storing them.
Stored rows and head versions call the signature `sketch`, the name of earlier versions.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

TEXTS: Final = (
    "The parcel arrived two days late and the box was crushed.",
    "Wie wird das Wetter morgen in Hamburg?",
    "def mean(xs): return sum(xs) / len(xs)",
)
N_DIRECTIONS: Final = 64
TOLERANCE: Final = 0.1
"""The largest relative distance between vectors of the same encoder: services are not deterministic
(cosines down to 0.999), and a signature measures distances to about a tenth."""

Signature = list[list[float]]
"""One row for each probe text: the vector's width, its length, then its projections."""


def signature(vectors: NDArray[np.float32]) -> Signature:
    """The signature of the probe texts' vectors (n, d)."""
    x = vectors.astype(np.float64)
    projected = x @ _directions(x.shape[1])
    lengths = np.linalg.norm(x, axis=1)
    return [
        [float(x.shape[1]), round(float(length), 6), *(round(float(one), 6) for one in row)]
        for length, row in zip(lengths, projected, strict=True)
    ]


def are_alike(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> bool:
    """Whether two signatures are of the same encoder."""
    a, b = np.array(one, np.float64), np.array(other, np.float64)
    if a.shape != b.shape or (a[:, 0] != b[:, 0]).any():
        return False
    distances = np.linalg.norm(a[:, 2:] - b[:, 2:], axis=1)
    return bool((distances <= TOLERANCE * np.maximum(a[:, 1], b[:, 1])).all())


def _directions(n_columns: int) -> NDArray[np.float64]:
    """Random signs (n_columns, N_DIRECTIONS) that are the same in every version of numpy."""
    data = hashlib.shake_256(b"nmtune canary").digest(n_columns * N_DIRECTIONS // 8)
    bits = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(n_columns, N_DIRECTIONS)
    signs: NDArray[np.float64] = bits.astype(np.float64) * 2 - 1
    scaled: NDArray[np.float64] = signs * N_DIRECTIONS**-0.5
    return scaled

"""A BERT of two narrow blocks with random weights, and texts of three classes for it."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from nmtune.encoder.adapter import Adapter
from nmtune.encoder.architecture import Architecture

VOCABULARY = 60
POSITIONS = 24
TINY = Architecture(n_layers=2, n_heads=4, width=32, inner_width=64)


class Labelled(NamedTuple):
    """Token ids of texts, and their classes."""

    tokens: list[NDArray[np.int64]]
    y: NDArray[np.int64]


def tensors(architecture: Architecture = TINY, *, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Random weights, large enough that tokens influence each other."""
    random = np.random.default_rng(seed)
    sizes = {"word": VOCABULARY, "position": POSITIONS, "token_type": 2}
    found = {}
    for name, shape in architecture.shapes().items():
        first = sizes.get(name.removeprefix("embeddings.").split("_embeddings")[0])
        size = tuple(first if one is None else one for one in shape)
        values = random.normal(size=size) * (0.15 if len(size) == 2 else 0.02)
        if name.endswith("LayerNorm.weight"):
            values += 1
        found[name] = values.astype(np.float32)
    return found


def texts(n: int, *, n_classes: int = 3, seed: int = 0, shifted: int = 0) -> Labelled:
    """Texts of 3 to 12 tokens, half of them typical of the class.

    shifted: by how much the typical tokens are moved, for another domain.
    """
    random = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    tokens = []
    for label in y:
        length = int(random.integers(3, 13))
        typical = 5 + 8 * label + shifted + random.integers(0, 8, length)
        plain = random.integers(5, VOCABULARY, length)
        tokens.append(np.where(random.random(length) < 0.5, typical, plain).astype(np.int64))
    return Labelled(tokens, y)


def random_adapter(architecture: Architecture = TINY, **options: object) -> Adapter:
    """An adapter with an effect, of rank 4."""
    settings = {"rank": 4, "alpha": 8.0, "targets": "all", "normalised": True} | options
    adapter = Adapter.initialised(
        architecture,
        generator=torch.Generator().manual_seed(1),
        **settings,  # type: ignore[arg-type]
    )
    random = torch.Generator().manual_seed(2)
    for pair in adapter.pairs.values():
        pair.b.normal_(generator=random).mul_(0.2)
    return adapter

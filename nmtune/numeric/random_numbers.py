"""Random numbers of a training: independent streams from one seed, never the process's own."""

import numpy as np
import torch


def generator(seed: int, stream: int) -> torch.Generator:
    """Independent random numbers for each stream of a seed (0: initial weights, n: epoch n)."""
    (mixed,) = np.random.SeedSequence((seed, stream)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed))

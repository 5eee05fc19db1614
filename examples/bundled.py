"""The bundled rows as arrays: train, ID test, and two other domains (see data/README.md)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PATH = Path(__file__).parent / "data/intents.npz"


def split(name: str) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Embeddings (n, d) and labels (n,) of `train`, `test`, `ood_hwu` or `ood_snips`."""
    with np.load(PATH, allow_pickle=False) as arrays:
        return arrays[f"{name}_x"].astype(np.float32), arrays["class_names"][arrays[f"{name}_y"]]

"""Decompose small symmetric matrices into eigenvalues and -vectors, on several host cores at once.

A GPU takes 0.8 ms for each 64 x 64 float64 matrix, one after another (H200, cuSOLVER of CUDA 13.0).
A core of its host takes less than half of that, and there are several cores.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
from torch import Tensor

_FEWEST = 4
"""Matrices per thread; with fewer, handing them over takes longer than it saves."""


def eigh(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (..., n), smallest first, and eigenvectors as columns (..., n, n), on the device.

    matrices: (..., n, n), symmetric and finite.
    """
    host = matrices.cpu()
    n_parts = min(_n_cores(), host.shape[0] // _FEWEST) if host.ndim == 3 else 1
    if n_parts < 2:
        values, vectors = torch.linalg.eigh(host)
    else:
        parts = list(_threads().map(torch.linalg.eigh, host.chunk(n_parts)))
        values, vectors = (torch.cat(part) for part in zip(*parts, strict=True))
    return values.to(matrices.device), vectors.to(matrices.device)


@cache
def _threads() -> ThreadPoolExecutor:
    # One core each: the matrices are too small to be divided.
    return ThreadPoolExecutor(_n_cores(), "eigh", initializer=torch.set_num_threads, initargs=(1,))


@cache
def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

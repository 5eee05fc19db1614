"""Time a spectrum beside a full singular value decomposition."""

import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import page
from numpy.typing import NDArray

from nmtune import spectrum

HEAD = (
    "rows", "singular values", "full SVD float32, s", "full SVD float64, s", "ours, s",
    "SVD float32 / ours", "SVD float64 / ours", "SVE off by", "memory, MB",
)  # fmt: skip


def measure(sizes: list[tuple[int, int]], *, repeats: int) -> list[str]:
    """The lines of the table. Memory is the peak of numpy's arrays beyond the matrix itself."""
    rows = []
    for n, d in sizes:
        for name, last in (("ordinary", 0.1), ("condition over 1e4", 1e-5)):
            x = _matrix(n, d, last)
            found = {
                "svd32": lambda x=x: np.linalg.svd(x, compute_uv=False),
                "svd64": lambda x=x: np.linalg.svd(x.astype(np.float64), compute_uv=False),
                "ours": lambda x=x: spectrum(x),
            }
            seconds: dict[str, list[float]] = {contestant: [] for contestant in found}
            results = {}
            for _ in range(repeats):
                for contestant, compute in found.items():
                    started = time.perf_counter()
                    results[contestant] = compute()
                    seconds[contestant].append(time.perf_counter() - started)
            one, two, ours = (statistics.median(times) for times in seconds.values())
            off = abs(results["ours"].entropy - _entropy(results["svd64"]))
            memory = _peak(lambda x=x: spectrum(x))
            cells = [f"{value:.2f}" for value in (one, two, ours)]
            cells += [f"{value:.1f}" for value in (one / ours, two / ours)]
            rows.append([f"{n:,} x {d}", name, *cells, f"{off:.0e}", f"{memory:.0f}"])
            print(rows[-1], flush=True)
    return page.table(HEAD, rows)


def by_memory(path: Path, n: int, d: int) -> str:
    """What one spectrum of a memory-mapped file of n rows takes."""
    block = _matrix(10_000, d, 0.1)
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, d))
    for start in range(0, n, len(block)):
        rows[start : start + len(block)] = block[: n - start]
    rows.flush()
    del rows
    mapped = np.load(path, mmap_mode="r")
    started = time.perf_counter()
    spectrum(mapped)
    seconds = time.perf_counter() - started
    peak = _peak(lambda: spectrum(mapped))
    return f"{n:,} x {d}, memory-mapped: {seconds:.1f} s, {peak:.0f} MB beyond the map."


def _matrix(n: int, d: int, last: float) -> NDArray[np.float32]:
    """A common direction and spread that falls to `last` of its strength from column to column."""
    random = np.random.default_rng(0)
    x = random.standard_normal((n, d), dtype=np.float32)
    x *= np.geomspace(1, last, d).astype(np.float32)
    x += 0.2 * random.standard_normal(d).astype(np.float32)
    return x


def _entropy(values: NDArray[np.float64]) -> float:
    shares = values / values.sum()
    return float(-(shares * np.log(shares)).sum())


def _peak(compute: Callable[[], object]) -> float:
    tracemalloc.start()
    compute()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1e6

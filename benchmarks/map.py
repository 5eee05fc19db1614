"""Maps of real rows: what principal axes and t-SNE keep of the neighbourhoods, and what they cost.

python benchmarks/map.py FILE.npz [...] [--write PAGE]

Of the 10 nearest rows in the plane: which share has the row's own label, and which share is among
its 10 nearest rows in the full space. Rows of all splits, drawn at random; one thread.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from page import machine, table, write
from quality import read
from sklearn.neighbors import NearestNeighbors

from nmtune.study.projection import principal_axes, tsne

Matrix = npt.NDArray[np.floating]
Rows = npt.NDArray[np.int64]

SIZES = (2_000, 5_000, 10_000)
N_NEIGHBOURS = 10


def nearest(x: Matrix) -> Rows:
    """The rows (n, 10) nearest to each of x (n, d)."""
    searched = NearestNeighbors(n_neighbors=N_NEIGHBOURS + 1).fit(x)
    return np.asarray(searched.kneighbors(x, return_distance=False)[:, 1:])


def line(name: str, y: Rows, near: Rows, true: Rows, seconds: float | None) -> list[str]:
    kept = np.mean([len(set(one) & set(other)) for one, other in zip(near, true, strict=True)])
    return [
        name,
        f"{(y[near] == y[:, None]).mean():.1%}",
        f"{kept / N_NEIGHBOURS:.1%}",
        "" if seconds is None else f"{seconds:.1f}",
    ]


def timed(work: Callable[[], Matrix]) -> tuple[Matrix, float]:
    began = time.process_time()
    return work(), time.process_time() - began


def lines(path: Path) -> list[list[str]]:
    splits, _ = read(path)
    x = np.concatenate([one for one, _ in splits.values()])
    y = np.concatenate([one for _, one in splits.values()])
    found = []
    for size in SIZES:
        drawn = np.random.default_rng(0).choice(len(x), min(size, len(x)), replace=False)
        some, labels = x[drawn], y[drawn]
        true = nearest(some)
        axes, seconds = timed(lambda: principal_axes(some).coordinates)  # noqa: B023  called now
        plane, drawing_seconds = timed(lambda: tsne(axes))  # noqa: B023
        found += [
            [path.stem, f"{len(some):,}", *one]
            for one in (
                line("full space", labels, true, true, None),
                line("two principal axes", labels, nearest(axes[:, :2]), true, seconds),
                line("t-SNE", labels, nearest(plane), true, drawing_seconds),
            )
        ]
        print(*found[-3:], sep="\n", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--write", type=Path, metavar="PAGE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = [one for path in arguments.files for one in lines(path)]
    head = ["set", "rows", "plane", "own label", "true neighbours", "CPU s"]
    text = "\n".join([f"Measured {machine()}.", "", *table(head, found)])
    print(text)
    if arguments.write:
        write(arguments.write, "map", text)


if __name__ == "__main__":
    main()

"""Draw rows as points of a plane: principal axes, and t-SNE.

Sources: Pearson (1901) for the axes; van der Maaten & Hinton, "Visualizing Data using t-SNE" (JMLR
2008), started from the principal axes (Kobak & Berens, "The art of using t-SNE for single-cell
transcriptomics", Nature Communications 2019). docs/inside/benchmarks.md says what each keeps of the
neighbourhoods.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nmtune.numeric.leading import leading_directions

N_COMPONENTS: Final = 50
"""Principal axes that t-SNE sees; further ones hold mostly noise, and would cost time."""

FEWEST_ROWS: Final = 10
"""Rows; fewer have no neighbourhoods to draw."""

_PERPLEXITY = 30.0
# More iterations and finer forces cost two to three times as much and keep no more neighbours.
_N_ITERATIONS = 500
_ANGLE = 0.8


@dataclass(frozen=True, kw_only=True, eq=False)
class Principal:
    """Rows along their principal axes.

    coordinates: (n, r) float32, r at most N_COMPONENTS, the axis of most variance first.
    explained: (r,) the share of the rows' variance along each axis, 0..1.
    """

    coordinates: NDArray[np.float32]
    explained: NDArray[np.float64]

    @property
    def plane(self) -> NDArray[np.float32]:
        """The first two coordinates (n, 2); a missing one is 0."""
        missing = max(0, 2 - self.coordinates.shape[1])
        return np.pad(self.coordinates[:, :2], ((0, 0), (0, missing)))


def principal_axes(x: NDArray[np.floating], *, seed: int = 0) -> Principal:
    """The coordinates of x (n, d) along the principal axes of these rows.

    Values must be finite. Rows that are all equal lie at the origin.
    """
    rows = np.array(x, np.float32)
    largest = np.abs(rows).max(initial=0)
    if largest > 0:  # squares of very large or small values would leave float32
        rows /= largest
    rows -= rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    total = float(np.square(rows, dtype=np.float64).sum())
    rank = min(N_COMPONENTS, *rows.shape)
    directions, variances = leading_directions(rows, rank=rank, n_free=1, seed=seed)
    # The sign of an axis is arbitrary: fixed here, so that the same rows give the same picture.
    signs = np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(rank)])
    coordinates = (rows @ (directions * np.where(signs == 0, 1, signs))).astype(np.float32)
    explained = variances.astype(np.float64) / total if total > 0 else np.zeros(rank)
    return Principal(coordinates=coordinates, explained=np.minimum(explained, 1))


def tsne(coordinates: NDArray[np.float32], *, seed: int = 0) -> NDArray[np.float32]:
    """A plane (n, 2) that keeps the neighbours of rows given along their principal axes (n, r).

    Distances between groups and their sizes mean nothing in it. One thread; the same rows, seed and
    versions give the same picture. Raises ValueError for fewer than FEWEST_ROWS.
    """
    n_rows = len(coordinates)
    if n_rows < FEWEST_ROWS:
        raise ValueError(f"t-SNE needs at least {FEWEST_ROWS} rows, got {n_rows}")
    from sklearn.manifold import TSNE  # a second and 100 MB, which only a drawing needs

    drawing = TSNE(
        init="pca",
        perplexity=min(_PERPLEXITY, (n_rows - 1) / 3),
        max_iter=_N_ITERATIONS,
        angle=_ANGLE,
        n_jobs=1,
        random_state=seed,
    )
    return np.asarray(drawing.fit_transform(coordinates), np.float32)

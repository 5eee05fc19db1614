"""The learning curve: accuracy over the number of training rows."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from nmtune.errors import DataError
from nmtune.plot.values import axes_of, plain

if TYPE_CHECKING:
    from nmtune import LearningPoint


def learning_curve(
    points: "Sequence[LearningPoint | Mapping[str, Any]]",
    *,
    ax: Axes | None = None,
) -> Axes:
    """Plot the mean accuracy over the seeds on each split, with a band of one deviation.

    Parameters
    ----------
    points : sequence of LearningPoint or of mappings
        What `nmtune.study.learning_curve` gave, as a list, or
        `report["findings"]["learning_curve"]["points"]`.
    ax : matplotlib.axes.Axes, default=None
        Axes to draw on; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with one line for each split, and a band where there are several seeds.

    Examples
    --------
    >>> from nmtune import LearningPoint, plot
    >>> points = [LearningPoint(fraction=0.5, n_rows=50, accuracies={"test": (0.7, 0.8)}),
    ...           LearningPoint(fraction=1.0, n_rows=100, accuracies={"test": (0.8, 0.9)})]
    >>> ax = plot.learning_curve(points)
    >>> ax.lines[0].get_label(), ax.lines[0].get_ydata().round(2).tolist()
    ('test', [0.75, 0.85])
    """
    rows = [
        plain(one, "n_rows", "splits", field=f"points[{index}]") for index, one in enumerate(points)
    ]
    if not rows:
        raise DataError("there is no point to plot", field="points")
    ax = axes_of(ax)
    for split in dict.fromkeys(name for row in rows for name in row["splits"]):
        found = [(row["n_rows"], row["splits"][split]) for row in rows if split in row["splits"]]
        sizes = np.array([n_rows for n_rows, _ in found])
        means = np.array([one["accuracy"] for _, one in found])
        bands = np.array([one["deviation"] or 0.0 for _, one in found])
        [line] = ax.plot(sizes, means, marker="o", label=split)
        if bands.any():
            low, high = np.clip((means - bands, means + bands), 0, 1)
            ax.fill_between(sizes, low, high, color=line.get_color(), alpha=0.2)
    ax.set(xlabel="training rows", ylabel="accuracy")
    ax.legend(title="split")
    return ax

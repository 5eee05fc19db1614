"""The confusion matrix, or the most frequent confusions where there are too many classes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from nmtune.plot.values import axes_of, plain

if TYPE_CHECKING:
    from nmtune import Evaluation

MOST_NUMBERS = 20
"""Classes up to which the cells of a matrix hold numbers."""
MOST_BARS = 20


def confusion(
    evaluation: "Evaluation | Mapping[str, Any]",
    *,
    normalise: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Plot how many rows of each class were predicted as each class.

    With more than 100 classes an evaluation has no matrix: bars then show its 20 most frequent
    confusions.

    Parameters
    ----------
    evaluation : Evaluation or mapping
        What `nmtune.evaluate` gave, or a candidate's `metrics` of one split in a report.
    normalise : bool, default=False
        Show shares of each true class's rows in place of counts.
    ax : matplotlib.axes.Axes, default=None
        Axes to draw on; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with an image of the matrix, true classes downwards, or with bars.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import evaluate, plot
    >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    >>> ax = plot.confusion(evaluate(probabilities, np.array([0, 0, 1, 1]), ["cat", "dog"]))
    >>> ax.images[0].get_array().tolist()
    [[2, 0], [1, 1]]
    """
    needed = ("confusion_matrix", "confusions", "per_class")
    found = plain(evaluation, *needed, field="evaluation")
    support = {one["name"]: one["support"] for one in found["per_class"]}
    ax = axes_of(ax)
    if found["confusion_matrix"] is None:
        _bars(ax, found["confusions"][:MOST_BARS], support if normalise else None)
    else:
        _matrix(ax, np.array(found["confusion_matrix"]), list(support), normalise=normalise)
    return ax


def _matrix(ax: Axes, counts: NDArray[Any], names: Sequence[str], *, normalise: bool) -> None:
    shown = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) if normalise else counts
    most = 1 if normalise else max(int(counts.max()), 1)
    image = ax.imshow(shown, cmap="Blues", vmin=0, vmax=most)
    ax.figure.colorbar(image, ax=ax, label="share of the true class" if normalise else "rows")
    places = range(len(names))
    ax.set(xlabel="predicted class", ylabel="true class")
    is_large = len(names) > MOST_NUMBERS
    ax.set_xticks(places, names, rotation=90)
    ax.set_yticks(places, names)
    if is_large:
        ax.tick_params(labelsize="xx-small")
        return
    for row, column in np.ndindex(*shown.shape):
        value = shown[row, column]
        ax.text(
            column,
            row,
            f"{value:.2f}" if normalise else f"{value}",
            ha="center",
            va="center",
            color="white" if value > most / 2 else "black",
        )


def _bars(
    ax: Axes, confusions: Sequence[Mapping[str, Any]], support: Mapping[str, int] | None
) -> None:
    """The most frequent confusions, the first on top; shares of the true class with `support`."""
    lengths = [one["n_rows"] / (support[one["true"]] if support else 1) for one in confusions]
    places = range(len(confusions))
    ax.barh(places, lengths)
    ax.set_yticks(places, [f"{one['true']} as {one['predicted']}" for one in confusions])
    ax.invert_yaxis()
    ax.set(xlabel="share of the true class" if support else "rows")

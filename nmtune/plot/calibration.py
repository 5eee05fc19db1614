"""The reliability diagram: how often predictions of each confidence are right."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from nmtune.plot.values import axes_of, plain

if TYPE_CHECKING:
    from nmtune import Evaluation

_MARKERS = (10.0, 110.0)
"""Areas in points: of a bin with hardly a row, and how much more of one with all rows."""
_DIAGONAL = "perfectly calibrated"


def reliability(
    evaluation: "Evaluation | Mapping[str, Any]",
    *,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot accuracy against mean confidence, a point for each bin that holds rows.

    Points below the diagonal are overconfident. A point grows with its share of the rows. Calls
    on the same axes compare heads, or one head before and after its temperature.

    Parameters
    ----------
    evaluation : Evaluation or mapping
        What `nmtune.evaluate` gave, or a candidate's `metrics` of one split in a report.
    label : str, default=None
        What the legend calls it, in front of its expected calibration error (ECE).
    ax : matplotlib.axes.Axes, default=None
        Axes to draw on; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with the diagonal, and a line and its points.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import evaluate, plot
    >>> probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.4, 0.6]])
    >>> ax = plot.reliability(evaluate(probabilities, np.array([0, 1, 1, 1]), ["cat", "dog"]))
    >>> [line.get_label() for line in ax.lines]
    ['perfectly calibrated', 'ECE 0.375']
    """
    found = plain(evaluation, "reliability", "ece", field="evaluation")
    filled = [one for one in found["reliability"] if one["n_rows"]]
    confidence = [one["mean_confidence"] for one in filled]
    accuracy = [one["accuracy"] for one in filled]
    share = np.array([one["n_rows"] for one in filled]) / sum(one["n_rows"] for one in filled)
    ax = axes_of(ax)
    if not any(line.get_label() == _DIAGONAL for line in ax.lines):
        ax.plot([0, 1], [0, 1], color="0.6", linestyle="--", label=_DIAGONAL)
    error = f"ECE {found['ece']:.3f}"
    [line] = ax.plot(confidence, accuracy, label=error if label is None else f"{label}, {error}")
    least, more = _MARKERS
    ax.scatter(confidence, accuracy, s=least + more * share, color=line.get_color(), clip_on=False)
    ax.set(xlabel="mean confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.legend(loc="upper left")
    return ax

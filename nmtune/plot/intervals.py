"""The forest plot: differences in accuracy with their intervals."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from nmtune.errors import DataError
from nmtune.plot.values import axes_of, plain

_NEEDED = ("split", "candidate", "baseline", "accuracy_difference", "interval", "finding")
_LOOKS: Final[Mapping[str, tuple[str, str, str]]] = {
    "gain": ("tab:blue", "tab:blue", "gain"),
    "probable_gain": ("tab:blue", "white", "probable gain"),
    "unclear": ("0.5", "0.5", "unclear"),
    "probable_loss": ("tab:red", "white", "probable loss"),
    "loss": ("tab:red", "tab:red", "loss"),
}
"""Of each finding the colour, the colour inside of its marker, and the words."""


def forest(
    comparisons: Sequence[Any],
    *,
    ax: Axes | None = None,
) -> Axes:
    """Plot each comparison's difference in accuracy, in percentage points, with its interval.

    An interval that leaves out 0 is not enough for a clear finding: colour and marker show what
    the comparison found, with its test.

    Parameters
    ----------
    comparisons : sequence of Comparison or of mappings
        What was compared, such as `report["comparison"]` or some of it; drawn from the top.
    ax : matplotlib.axes.Axes, default=None
        Axes to draw on; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with one error bar for each comparison and a line at 0.

    Examples
    --------
    >>> from nmtune import plot
    >>> found = {"split": "test", "candidate": "nmtune", "baseline": "linear_probe",
    ...          "accuracy_difference": 0.03, "interval": [0.01, 0.05], "finding": "gain"}
    >>> ax = plot.forest([found])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['nmtune against linear_probe, test']
    """
    if not comparisons:
        raise DataError("there is no comparison to plot", field="comparisons")
    rows = [
        plain(one, *_NEEDED, field=f"comparisons[{index}]") for index, one in enumerate(comparisons)
    ]
    ax = axes_of(ax)
    ax.axvline(0, color="0.6", linewidth=1, zorder=0)
    for place, row in enumerate(rows):
        difference, (low, high) = 100 * row["accuracy_difference"], row["interval"]
        colour, inside, _ = _LOOKS[row["finding"]]
        ax.errorbar(
            difference,
            place,
            xerr=[[difference - 100 * low], [100 * high - difference]],
            fmt="o",
            color=colour,
            markerfacecolor=inside,
            capsize=3,
        )
    ax.set_yticks(
        range(len(rows)),
        [f"{row['candidate']} against {row['baseline']}, {_place(row['split'])}" for row in rows],
    )
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlabel="difference in accuracy, percentage points")
    ax.legend(handles=_legend({row["finding"] for row in rows}))
    return ax


def _place(split: str) -> str:
    """The split, or in words the mean over all domains."""
    return "mean of ood" if split == "ood" else split


def _legend(findings: set[str]) -> list[Line2D]:
    """A sample of each finding that there is."""
    return [
        Line2D([], [], marker="o", color=colour, markerfacecolor=inside, label=words)
        for finding, (colour, inside, words) in _LOOKS.items()
        if finding in findings
    ]

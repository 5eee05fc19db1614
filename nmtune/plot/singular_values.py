"""The singular values before and after tuning."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from nmtune.errors import DataError
from nmtune.plot.values import axes_of

if TYPE_CHECKING:
    from nmtune import Spectrum


def spectrum(
    before: "Spectrum | Mapping[str, Any]",
    after: "Spectrum | Mapping[str, Any] | None" = None,
    *,
    labels: tuple[str, str] = ("before", "after"),
    ax: Axes | None = None,
) -> Axes:
    """Plot each singular value's share of their sum, on a logarithmic scale.

    A flatter line is a flatter spectrum. The legend has the effective rank, exp(SVE).

    Parameters
    ----------
    before, after : Spectrum or mapping
        What `nmtune.spectrum` gave for the embeddings and for the tuned embeddings, or the same
        parts of a report: `report["spectra"]["raw"]["test"]` and `["tuned"]["test"]`.
    labels : tuple of str, default=("before", "after")
        What the legend calls them.
    ax : matplotlib.axes.Axes, default=None
        Axes to draw on; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with one line for each spectrum.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import plot, spectrum
    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> ax = plot.spectrum(spectrum(x * [9, 3, 1, 1]), spectrum(x))
    >>> [line.get_label() for line in ax.lines]
    ['before (effective rank 2.8)', 'after (effective rank 4.0)']
    """
    pairs = [("before", labels[0], before), ("after", labels[1], after)]
    found = [
        (label, *_parts(given, field=field)) for field, label, given in pairs if given is not None
    ]
    ax = axes_of(ax)
    for label, values, rank in found:
        shares = values / values.sum() if values.any() else values
        kept = shares > 0  # what a logarithmic scale can show
        index = np.arange(1, len(shares) + 1)
        ax.plot(
            index[kept],
            shares[kept],
            marker="." if len(shares) <= 100 else "",
            label=f"{label} (effective rank {rank:.1f})",
        )
    ax.set(yscale="log", xlabel="index of the singular value", ylabel="share of their sum")
    ax.legend()
    return ax


def _parts(given: Any, *, field: str) -> tuple[Any, float]:
    """Singular values and effective rank; DataError for what is no spectrum."""
    names = ("singular_values", "effective_rank")
    is_mapping = isinstance(given, Mapping)
    if not all(name in given if is_mapping else hasattr(given, name) for name in names):
        raise DataError(
            f"{field} must be a Spectrum, as nmtune.spectrum gives it, got {type(given).__name__}",
            field=field,
        )
    values, rank = (given[name] if is_mapping else getattr(given, name) for name in names)
    return np.asarray(values, dtype=np.float64), float(rank)

"""Plots of spectra, evaluations, comparisons and learning curves, with matplotlib.

Each function draws on the `ax` that it is given, or on a new figure, and returns the axes. It takes
what the science gives, or the same part of a job's report. Needs `pip install 'nmtune[plot]'`.
"""

from nmtune.extras import needs

with needs("plot"):
    from nmtune.plot.calibration import reliability
    from nmtune.plot.growth import learning_curve
    from nmtune.plot.intervals import forest
    from nmtune.plot.mistakes import confusion
    from nmtune.plot.singular_values import spectrum

__all__ = ["confusion", "forest", "learning_curve", "reliability", "spectrum"]

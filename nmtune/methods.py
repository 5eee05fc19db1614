"""The methods that a job may ask for, without the numbers behind them."""

from typing import Final

METHODS: Final = ("linear_probe", "mlp", "nmtune", "auto")
"""From the simplest to the fullest: a job trains its method and every simpler one beside it."""

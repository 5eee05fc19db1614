"""Predict how much memory a job needs.

The training rows are copied once, scaled, for each candidate in turn; a head's tuned embeddings are
held for their spectrum. Everything else is small or bounded.
"""

from collections.abc import Iterable

from nmtune.config import TuneConfig

_PROCESS = 480 << 20
"""Python, torch, the libraries' buffers, and blocks of rows in use."""

_BLOCK_LOGITS = 1 << 19
_BYTES_OF_A_LOGIT = 28  # two arrays of float32, two of float64, and log_softmax's own
_ROWS_WATCHED = 8192
_FLOAT = 4
_DOUBLE = 8
_SOLUTIONS = 40  # two of each of the 10 steps that L-BFGS remembers, of each penalty, and of a step
_SQUARES_OF_AXES = 4  # a covariance, its eigenvectors and the solver's own
_ADAMW = 16  # a weight, its gradient and two moments


def peak_bytes(
    configs: Iterable[TuneConfig],
    *,
    n_rows: int,
    n_columns: int,
    n_classes: int,
    most_rows: int,
) -> int:
    """Roughly the peak memory of the training process on the host, in bytes.

    Args:
        configs: the candidates' configs; they are trained one after another.
        n_rows: training and validation rows together.
        most_rows: rows of the largest split.
    """
    most = 0
    for config in configs:
        n_tuned = (
            config.n_members * config.hidden_width if config.transform == "hidden" else n_columns
        )
        training = _training(config, n_rows=n_rows, n_columns=n_columns, n_classes=n_classes)
        tuned = _FLOAT * most_rows * (n_tuned + 4 * n_classes)
        most = max(most, training, tuned)
    return _PROCESS + most


def _training(config: TuneConfig, *, n_rows: int, n_columns: int, n_classes: int) -> int:
    rows = _FLOAT * n_rows * n_columns
    held_out = 2 * _FLOAT * n_rows * n_classes
    if config.is_convex:
        logits = _BYTES_OF_A_LOGIT * _BLOCK_LOGITS
        axes = min(n_rows, n_columns)
        squares = _DOUBLE * (axes**2 * _SQUARES_OF_AXES + n_columns**2)
        if config.transform == "whiten":  # the sums and the map of each fold, and of all columns
            squares += (_DOUBLE + _FLOAT) * axes**2 * config.n_folds + 3 * _DOUBLE * n_columns**2
        solutions = _FLOAT * config.n_folds * n_classes * (axes + 1) * _SOLUTIONS
        turned = rows if n_rows < n_columns else 0
        # One fold of the rows is copied at a time.
        return rows + rows // config.n_folds + turned + squares + logits + solutions + held_out
    if config.transform == "hidden":
        n_hidden = config.n_members * config.hidden_width
        watched = min(n_rows, _ROWS_WATCHED)
        # Each member scores its own fold by itself.
        activations = watched * (2 * config.hidden_width + 6 * n_classes + n_columns)
        activations += 4 * config.batch_size * (n_hidden + config.n_members * n_classes)
        weights = n_hidden * (n_columns + n_classes)
        return rows + _FLOAT * activations + (_ADAMW + _FLOAT) * weights + held_out
    if config.transform == "bottlenecks":
        n_members, width = config.n_members, config.hidden_width
        # A step's Z of every member, its gradient and what the terms make of them.
        activations = 8 * config.batch_size * n_members * (n_columns + n_classes)
        activations += min(n_rows, _ROWS_WATCHED) * (2 * n_columns + width + 4 * n_classes)
        weights = n_members * n_columns * (2 * width + n_classes)
        return rows + _FLOAT * activations + (_ADAMW + _FLOAT) * weights + held_out
    weights = 2 * config.hidden_multiplier * n_columns**2 + n_columns * n_classes
    return rows + (_ADAMW + 2 * _FLOAT) * weights

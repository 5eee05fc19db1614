"""The home of a training's memory: what a job will take.

The rows of the training split are copied once, scaled, for each candidate in turn; cross-validation
takes copies of its folds; a head's tuned embeddings are held for their spectrum. All else is
bounded, whatever the rows, or small.
"""

from collections.abc import Iterable

from nmtune.config import TuneConfig

_PROCESS = 480 << 20
"""Python, torch, the libraries' buffers, and blocks of rows as they are worked on."""

_BLOCK_LOGITS = 1 << 23
_BYTES_OF_A_LOGIT = (
    28  # two arrays of float32, two of float64 and what log_softmax takes on its way
)
_ROWS_WATCHED = 8192
_FLOAT = 4
_ADAMW = 16  # a weight, its gradient and two moments


def peak_bytes(
    configs: Iterable[TuneConfig],
    *,
    n_rows: int,
    n_columns: int,
    n_classes: int,
    most_rows: int,
) -> int:
    """The most memory that the training process will hold at a time on the host, roughly.

    Args:
        configs: of the candidates, trained one after another.
        n_rows: of the split that is trained on, validation rows included.
        most_rows: of the largest split.
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
        copies = 3 if config.transform == "whiten" else 2  # all rows, a fold's, and those mapped
        logits = _BYTES_OF_A_LOGIT * min(n_rows * n_classes, _BLOCK_LOGITS)
        return copies * rows + logits + held_out
    if config.transform == "hidden":
        n_hidden = config.n_members * config.hidden_width
        watched = min(n_rows, _ROWS_WATCHED)
        activations = watched * (2 * n_hidden + 6 * config.n_members * n_classes + n_columns)
        weights = n_hidden * (n_columns + n_classes)
        return rows + _FLOAT * activations + (_ADAMW + _FLOAT) * weights + held_out
    weights = 2 * config.hidden_multiplier * n_columns**2 + n_columns * n_classes
    return rows + (_ADAMW + 2 * _FLOAT) * weights

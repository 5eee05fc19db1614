"""The home of the errors the science raises: one small tree, each class with a stable `code`."""

from typing import ClassVar


class NMTuneError(Exception):
    """Base of every error of this package; `code` is stable and `message` says what to do."""

    code: ClassVar[str] = "nmtune_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConfigError(NMTuneError):
    """A setting is unknown, of the wrong type or out of its bounds; `field` names it."""

    code = "invalid_config"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class DataError(NMTuneError):
    """Embeddings, labels or probabilities cannot be used as given.

    `field` names the argument; `row` and `column` are the 0-based place of the first offending
    value where one value is to blame, else None.
    """

    code = "invalid_data"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        row: int | None = None,
        column: int | None = None,
    ) -> None:
        super().__init__(message)
        self.field = field
        self.row = row
        self.column = column


class HeadFormatError(NMTuneError):
    """The bytes are not a head that this version can read."""

    code = "invalid_head"


class CanaryError(HeadFormatError):
    """The loaded head does not say of its canary what it said when it was published."""

    code = "canary_mismatch"


class CheckpointError(NMTuneError):
    """The bytes are not a checkpoint that this trainer can continue from."""

    code = "invalid_checkpoint"


class DivergenceError(NMTuneError):
    """The loss left the finite numbers: the settings do not suit the scale of the embeddings."""

    code = "training_diverged"

"""Every error that the science raises: one small tree, each class with a stable `code`."""

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

    `field` names the argument. `row` and `column` count from 0 and locate the first bad value; they
    are None if no single value is to blame.
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


class SelfTestError(HeadFormatError):
    """A loaded head does not reproduce the probabilities of its self-test rows."""

    code = "canary_mismatch"


class CheckpointError(NMTuneError):
    """The bytes are not a checkpoint that this trainer can continue from."""

    code = "invalid_checkpoint"


class DivergenceError(NMTuneError):
    """The loss became infinite or NaN: the settings do not suit the scale of the embeddings."""

    code = "training_diverged"

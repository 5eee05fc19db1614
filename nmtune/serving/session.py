"""Serve a folded head from an onnxruntime session.

Why onnxruntime and not torch or numpy: on an idle machine the three are within a factor of two. On
a busy one the two that wait for OpenMP threads become ten to a hundred times slower, since one late
thread stalls them all. onnxruntime's threads take work as they get to run, and do not spin here.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import numpy as np

from nmtune.errors import SelfTestError
from nmtune.extras import needs
from nmtune.serving.answers import Answers
from nmtune.serving.folded import FoldedHead, Matrix
from nmtune.serving.onnx_graph import INPUT, Output, onnx_model

with needs("onnx"):
    import onnxruntime

if TYPE_CHECKING:
    from nmtune.trust.self_test import SelfTest

SELF_TEST_TOLERANCE: Final = 1e-5
"""How far a probability may be from the one computed when the head was published."""

_FEW_PRODUCTS: Final = 1 << 17
"""Multiplications per row; below, waking another thread takes longer than a thousand rows."""

_ROWS_AT_A_TIME: Final = 1024

PREDICT: Final[tuple[Output, ...]] = ("scores", "probabilities")
TUNED: Final[tuple[Output, ...]] = ("tuned",)
"""The outputs of the two sessions."""

_Run: TypeAlias = Callable[[None, dict[str, Matrix]], list[Matrix]]

_WARNINGS: Final = 3
"""onnxruntime's log level: errors only."""


class Session:
    """Scores and probabilities from a folded head; any number of threads may run it at once."""

    def __init__(self, folded: FoldedHead, *, n_threads: int) -> None:
        """Build the session, in about 50 ms; up to `n_threads` threads work on one call."""
        self.n_products = products(folded)
        """Multiplications for one row."""
        self._run = _session(_bytes(folded, PREDICT), n_threads, self.n_products)

    @classmethod
    def mapped(cls, path: Path, *, n_products: int, n_threads: int) -> Self:
        """The session of a file that `save` wrote, whose arrays all its processes share."""
        self = cls.__new__(cls)
        self.n_products = n_products
        self._run = _session(str(path), n_threads, n_products)
        return self

    def run(self, x: Matrix) -> Answers:
        """The answers for finite rows x (n, d), float32 in C order."""
        scores, probabilities = self._run(None, {INPUT: x})
        return Answers(np.asarray(scores), np.asarray(probabilities))


def check_self_test(session: Session, self_test: "SelfTest") -> None:
    """Raise SelfTestError unless the session reproduces the head's self-test probabilities."""
    found = session.run(np.ascontiguousarray(self_test.x)).probabilities
    same_class = (found.argmax(axis=1) == self_test.probabilities.argmax(axis=1)).all()
    off = float(np.abs(found - self_test.probabilities).max())
    if not same_class or not off <= SELF_TEST_TOLERANCE:
        raise SelfTestError(
            f"the head's probabilities for its self-test rows are off by {off:.1e} from those "
            "computed when it was published"
        )


class TunedSession:
    """Tuned embeddings from a folded head; any number of threads may run it at once."""

    def __init__(self, folded: FoldedHead, *, n_threads: int) -> None:
        """Build the session, with a copy of the head's arrays."""
        self._run = _session(_bytes(folded, TUNED), n_threads, products(folded))

    @classmethod
    def mapped(cls, path: Path, *, n_products: int, n_threads: int) -> Self:
        """The session of a file that `save` wrote, whose arrays all its processes share."""
        self = cls.__new__(cls)
        self._run = _session(str(path), n_threads, n_products)
        return self

    def run(self, x: Matrix) -> Matrix:
        """Z (n, m) for finite rows x (n, d), float32 in C order; a thousand rows at a time."""
        starts = range(0, len(x), _ROWS_AT_A_TIME)
        parts = [self._run(None, {INPUT: x[at : at + _ROWS_AT_A_TIME]})[0] for at in starts]
        return np.concatenate(parts)


def save(folded: FoldedHead, outputs: Sequence[Output], path: Path) -> None:
    """Write the file of a session at `path`, and beside it its arrays as onnxruntime uses them.

    The arrays are arranged for this machine's processor. A session of the file maps them, so they
    are in memory once for all processes that have it.
    """
    options = _options(1)
    options.optimized_model_filepath = str(path)
    for name, value in (
        ("session.optimized_model_external_initializers_file_name", f"{path.name}.data"),
        ("session.optimized_model_external_initializers_min_size_in_bytes", "1024"),
        ("session.save_external_prepacked_constant_initializers", "1"),
    ):
        options.add_session_config_entry(name, value)
    _made(_bytes(folded, outputs), options)


def products(folded: FoldedHead) -> int:
    """Multiplications for one row."""
    matrices = (folded.affine, folded.into, folded.out)
    return sum(matrix.size for matrix in matrices if matrix is not None)


def _bytes(folded: FoldedHead, outputs: Sequence[Output]) -> bytes:
    data: bytes = onnx_model(folded, outputs=outputs).SerializeToString()
    return data


def _session(source: bytes | str, n_threads: int, n_products: int) -> _Run:
    run: _Run = _made(source, _options(1 if n_products < _FEW_PRODUCTS else n_threads)).run
    return run


def _options(n_threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _WARNINGS
    # Spinning is faster on an idle machine, but takes the core that the next request needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _made(source: bytes | str, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

"""A folded head as an onnxruntime session, which is what serves.

Why onnxruntime, and not torch or numpy: alone on the machine the three are within a factor of two;
beside other work the two that wait for OpenMP threads lose a factor of ten to a hundred, for one
late thread stalls all. onnxruntime's threads take work as they get to run, and do not spin here.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from nmtune.answers import Answers
from nmtune.errors import CanaryError
from nmtune.extras import needs
from nmtune.folded import FoldedHead, Matrix
from nmtune.onnx_graph import INPUT, Output, onnx_model

with needs("onnx"):
    import onnxruntime

if TYPE_CHECKING:
    from nmtune.canary import Canary

CANARY_TOLERANCE: Final = 1e-5
"""How far a probability may be from the one that was computed when the head was published."""

_FEW_PRODUCTS: Final = 1 << 17
"""Per row; of so few even a thousand rows take one thread less than waking another."""

_ROWS_AT_A_TIME: Final = 1024

_WARNINGS: Final = 3
"""onnxruntime's log level: errors alone."""


class Engine:
    """Scores and probabilities of a folded head; any number of threads may run it at once."""

    def __init__(self, folded: FoldedHead, *, n_threads: int) -> None:
        """Build the session: some 50 ms. `n_threads` work on one call, if there is enough to do."""
        self.n_products = _products(folded)
        """Multiplications for one row."""
        self._run = _session(folded, ("scores", "probabilities"), n_threads)

    def run(self, x: Matrix) -> Answers:
        """The answers for finite rows x (n, d), float32 in C order."""
        scores, probabilities = self._run(None, {INPUT: x})
        return Answers(np.asarray(scores), np.asarray(probabilities))


def check_canary(engine: Engine, canary: "Canary") -> None:
    """Raise CanaryError unless the engine says of the canary what its head said."""
    found = engine.run(np.ascontiguousarray(canary.x)).probabilities
    same_class = (found.argmax(axis=1) == canary.probabilities.argmax(axis=1)).all()
    off = float(np.abs(found - canary.probabilities).max())
    if not same_class or not off <= CANARY_TOLERANCE:
        raise CanaryError(
            f"the head's probabilities of its canary are off by {off:.1e} from those computed when "
            "it was published"
        )


class TunedEngine:
    """Tuned embeddings of a folded head; any number of threads may run it at once."""

    def __init__(self, folded: FoldedHead, *, n_threads: int) -> None:
        """Build the session, with a copy of the head's arrays."""
        self._run = _session(folded, ("tuned",), n_threads)

    def run(self, x: Matrix) -> Matrix:
        """Z (n, m) of finite rows x (n, d), float32 in C order; some thousand rows at a time."""
        starts = range(0, len(x), _ROWS_AT_A_TIME)
        parts = [self._run(None, {INPUT: x[at : at + _ROWS_AT_A_TIME]})[0] for at in starts]
        return np.concatenate(parts)


def _products(folded: FoldedHead) -> int:
    matrices = (folded.affine, folded.into, folded.out)
    return sum(matrix.size for matrix in matrices if matrix is not None)


def _session(
    folded: FoldedHead, outputs: Sequence[Output], n_threads: int
) -> Callable[[None, dict[str, Matrix]], list[Matrix]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1 if _products(folded) < _FEW_PRODUCTS else n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _WARNINGS
    # A thread that spins is faster alone, and takes the core that the next request needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        onnx_model(folded, outputs=outputs).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )
    run: Callable[[None, dict[str, Matrix]], list[Matrix]] = session.run
    return run

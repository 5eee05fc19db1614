"""Check that an export answers as the served head does."""

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune.heads.head import Head
from service.http.errors import Problem

TOLERANCE: Final = 1e-5
"""The largest difference of a probability."""

N_RANDOM_ROWS: Final = 16

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckRows:
    """Rows x (k, d) and the served head's probabilities for them (k, c), both float32."""

    x: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    are_stored: bool
    """Whether the rows are from the head's training, or random ones of its scale."""


def check_rows(head: Head) -> CheckRows:
    """The head's stored rows, or for a head without any, seeded random ones of its scale.

    Raises Problem `export_disagrees` if the head no longer answers for the stored rows as it did
    when it was published.
    """
    if head.self_test is None:
        x = _random_rows(head)
        return CheckRows(x=x, probabilities=head.predict_proba(x), are_stored=False)
    found = CheckRows(
        x=head.self_test.x, probabilities=head.self_test.probabilities, are_stored=True
    )
    require_agreement("the served head", head.predict_proba(found.x), found)
    return found


def require_agreement(what: str, found: NDArray[Any], check: CheckRows) -> None:
    """Problem `export_disagrees` unless probabilities are within 1e-5 and the classes the same.

    Where the head's own two best differ by less than that, rounding may choose the other.
    """
    expected = check.probabilities
    if found.shape != expected.shape or not np.isfinite(found).all():
        raise _disagrees(what, f"shape {found.shape} or values that are not finite")
    error = float(np.abs(found - expected).max())
    if not error <= TOLERANCE:
        raise _disagrees(what, f"a probability differs by {error:.2g}")
    if expected.shape[1] > 1:
        best = np.sort(expected, axis=1)
        is_clear = best[:, -1] - best[:, -2] > TOLERANCE
        differs = (found.argmax(axis=1) != expected.argmax(axis=1)) & is_clear
        if differs.any():
            raise _disagrees(what, f"row {int(differs.argmax())} gets another class")


def _random_rows(head: Head) -> NDArray[np.float32]:
    """Normal rows with the mean and deviation that the first member's scaling expects."""
    scaling = head.members[0].scaling
    rows: NDArray[np.float64] = np.random.default_rng(0).normal(
        size=(N_RANDOM_ROWS, head.n_columns)
    )
    if scaling.divisor is not None:
        rows = rows * scaling.divisor.numpy()
    else:
        rows = rows / np.sqrt(head.n_columns)
    if scaling.mean is not None:
        rows = rows + scaling.mean.numpy()
    narrow: NDArray[np.float32] = rows.astype(np.float32)
    return narrow


def _disagrees(what: str, how: str) -> Problem:
    logger.error("export.disagrees what=%s how=%s", what.replace(" ", "_"), how)
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "export_disagrees",
        f"The export is refused because {what} does not answer as the head did: {how}. Export it "
        "as format=safetensors, or train it again, and send the operator the request_id.",
    )

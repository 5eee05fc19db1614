"""Home of how the rows of a prediction are spread over requests, and joined again; no I/O."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from nmtune_client import _arrays, _calls
from nmtune_client._prediction import HeadLike, Options, Output, Prediction, joined
from nmtune_client._wire import Call

AT_ONCE = 4
"""Requests of one prediction that are under way together."""

_MOST_ROWS_A_REQUEST = 10_000
# Small enough that several at once are no burden, large enough that a request's own cost is none.
_MOST_BYTES_A_REQUEST = 8 * 1024 * 1024


class Batches:
    """The requests of one prediction: the first tells the head's version, the rest ask it."""

    def __init__(
        self,
        head: HeadLike,
        embeddings: object,
        *,
        output: Output | None,
        top_k: int | None,
        abstain_below: float | None,
        conformal_level: float | None,
        ood: bool | None,
    ) -> None:
        self._head = str(head)
        self._rows = _arrays.embeddings_array(embeddings)
        self._index = _index_of(embeddings)
        self._options = Options(
            output=output,
            top_k=top_k,
            abstain_below=abstain_below,
            conformal_level=conformal_level,
            ood=ood,
        )
        by_bytes = _MOST_BYTES_A_REQUEST // (4 * self._rows.shape[1])
        self._size: int = min(len(self._rows), max(1, min(_MOST_ROWS_A_REQUEST, by_bytes)))

    def first(self) -> Call[Prediction]:
        """The request to begin with, and to wait for."""
        return self._batch(self._head, 0)

    def shrink(self) -> bool:
        """Halve the batches, for the server took fewer rows; False if they have one row already."""
        is_possible = self._size > 1
        self._size = (self._size + 1) // 2
        return is_possible

    def rest(self, first: Prediction) -> Sequence[Callable[[], Call[Prediction]]]:
        """What makes the other requests, each when it is its turn: bodies are copies of rows."""
        pinned = f"{first.head_name}@{first.head_version}"
        starts = range(self._size, len(self._rows), self._size)
        return [partial(self._batch, pinned, start) for start in starts]

    def joined(self, parts: Sequence[Prediction]) -> Prediction:
        """The predictions of all requests, in order, as one."""
        return joined(parts, index=self._index)

    def _batch(self, head: str, start: int) -> Call[Prediction]:
        rows = self._rows[start : start + self._size]
        return _calls.predict(head, rows, options=self._options)


def _index_of(embeddings: object) -> Any:
    """The row names of a pandas DataFrame; None for all else."""
    is_pandas = type(embeddings).__module__.partition(".")[0] == "pandas"
    return getattr(embeddings, "index", None) if is_pandas else None

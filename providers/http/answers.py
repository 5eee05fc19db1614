"""Read a provider's answer, and check its vectors one by one.

A service may be compatible in name only, so nothing is taken on trust.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from providers.errors import WrongAnswer

MOST_WIDTH: Final = 65_536
_MOST_TOKENS: Final = 2**53


def tokens(counts: object, *names: str) -> int | None:
    """The number of tokens under the first of `names` that `counts` has, or None.

    A wrong count is no reason to discard vectors that were paid for.
    """
    if not isinstance(counts, dict):
        return None
    told = next((counts[name] for name in names if name in counts), None)
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    return int(told) if 0 <= told <= _MOST_TOKENS else None


def by_index(items: Sequence[Any], n_texts: int) -> list[object]:
    """The `embedding` of each item, ordered by `index`, or as they come without one.

    Raises WrongAnswer.
    """
    vectors: list[object] = [None] * n_texts
    if len(items) != n_texts:
        raise _wrong_count(len(items), n_texts)
    for place, item in enumerate(items):
        index = item.get("index")
        index = place if index is None else index
        if type(index) is not int or not 0 <= index < n_texts or vectors[index] is not None:
            raise WrongAnswer(
                "The provider's vectors have missing, repeated or wrong index numbers."
            )
        vectors[index] = item.get("embedding")
    return vectors


def checked(
    vectors: Sequence[object], n_texts: int, *, dimensions: int | None
) -> NDArray[np.float32]:
    """The vectors as float32 (n, d): one for each text, of one width, finite, never all zero.

    Raises WrongAnswer with the place of the first text whose vector is wrong.
    """
    if len(vectors) != n_texts:
        raise _wrong_count(len(vectors), n_texts)
    width = _width(vectors)
    if dimensions is not None and width != dimensions:
        raise WrongAnswer(
            f"The provider's vectors have {width} numbers, and {dimensions} were asked for. The "
            "model may not support the parameter dimensions."
        )
    for place, vector in enumerate(vectors):
        if not isinstance(vector, list) or not vector:
            raise _wrong(place, "is not a list of numbers")
        if len(vector) != width:
            raise _wrong(place, f"has {len(vector)} numbers, and others have {width}")
        if not {int, float}.issuperset(map(type, vector)):
            raise _wrong(place, "holds values that are not numbers")
    with np.errstate(over="ignore"):
        try:
            x = np.array(vectors, np.float64).astype(np.float32)
        except OverflowError as error:  # an integer of hundreds of digits
            raise WrongAnswer(
                "The provider's vectors hold numbers that are far too large."
            ) from error
    for is_good, fault in (
        (np.isfinite(x).all(axis=1), "holds numbers that are not finite"),
        (x.any(axis=1), "has only zeros"),
    ):
        if not is_good.all():
            raise _wrong(int(is_good.argmin()), fault)
    return x


def _width(vectors: Sequence[object]) -> int:
    """The width of most vectors, so that an odd one stands out. Raises WrongAnswer."""
    widths = [len(vector) for vector in vectors if isinstance(vector, list) and vector]
    width = max(widths, key=widths.count, default=0)
    if not 0 < width <= MOST_WIDTH:
        raise WrongAnswer("The provider's vectors are not lists of numbers.")
    return width


def _wrong(place: int, fault: str) -> WrongAnswer:
    error = WrongAnswer(f"The provider's vector for a text {fault}.")
    error.place = place
    return error


def _wrong_count(n_vectors: int, n_texts: int) -> WrongAnswer:
    vectors = "1 vector" if n_vectors == 1 else f"{n_vectors} vectors"
    texts = "1 text" if n_texts == 1 else f"{n_texts} texts"
    return WrongAnswer(f"The provider sent {vectors} for {texts}.")

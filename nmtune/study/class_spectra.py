"""Spectra class by class: which classes lie along few directions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import ConfigError, DataError
from nmtune.numeric.torch_state import own_state
from nmtune.rows.checks import as_labels, as_numbers
from nmtune.study.spectrum import Centring, Spectrum, spectrum

MAX_CLASSES: Final = 50
MAX_ROWS: Final = 2000
"""Rows of a class used by default: about 10 s for 50 classes of 1024 columns."""


@dataclass(frozen=True, kw_only=True)
class ClassSpectrum:
    """The spectrum of one class.

    Rows span at most as many directions as there are rows, so compare a class with itself before
    and after tuning, not with a class of another size.

    Attributes
    ----------
    index : int
        The class.
    support, n_rows : int
        Its rows, and how many of them the spectrum was computed from.
    entropy, largest_ratio : float
        SVE and LSVR in nats, as in `Spectrum`.
    effective_rank : float
        In directions, as in `Spectrum`.
    """

    index: int
    support: int
    n_rows: int
    entropy: float
    largest_ratio: float
    effective_rank: float


@dataclass(frozen=True, kw_only=True)
class ClassSpectra:
    """The spectra of the largest classes, largest first (ties by index).

    Attributes
    ----------
    n_classes : int
        All classes.
    centering : str
        As given to `class_spectra`.
    per_class : tuple of ClassSpectrum
        One entry per class that was looked at.
    n_left_out : int
        Classes with enough rows that `max_classes` left out.
    n_too_small : int
        Classes with fewer than two rows, which have no spectrum to speak of.
    """

    n_classes: int
    centering: Centring
    per_class: tuple[ClassSpectrum, ...]
    n_left_out: int
    n_too_small: int

    def to_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """The same as plain Python values with class names, ready for JSON.

        Raises DataError if `classes` does not name every class.
        """
        if len(classes) != self.n_classes:
            raise DataError(
                f"classes must be {self.n_classes} names, got {len(classes)}", field="classes"
            )
        return {
            "centering": self.centering,
            "n_left_out": self.n_left_out,
            "n_too_small": self.n_too_small,
            "per_class": [
                {
                    "name": classes[one.index],
                    "support": one.support,
                    "n_rows": one.n_rows,
                    "entropy": one.entropy,
                    "largest_ratio": one.largest_ratio,
                    "effective_rank": one.effective_rank,
                }
                for one in self.per_class
            ],
        }


@own_state()
def class_spectra(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    n_classes: int,
    centering: Centring = "none",
    max_classes: int = MAX_CLASSES,
    max_rows: int = MAX_ROWS,
    seed: int = 0,
) -> ClassSpectra:
    """The spectrum of each class's rows, for the largest classes.

    Parameters
    ----------
    x : ndarray or memory map, shape (n, d)
        Embeddings; the rows of one class are held at a time.
    y : ndarray of int, shape (n,)
        Class indices, 0 to n_classes - 1.
    n_classes : int
        How many classes there are, with or without rows.
    centering : {"none", "columns", "reference"}, default="none"
        As for `spectrum`.
    max_classes : int, default=50
        The largest classes to look at.
    max_rows : int, default=2000
        Larger classes are sampled down to this. The same y and seed draw the same rows, so
        embeddings and tuned embeddings can be compared.
    seed : int, default=0
        For that sample.

    Returns
    -------
    ClassSpectra

    Raises
    ------
    DataError
        x is not of finite real numbers, or y not of class indices; ``row`` says where.
    ConfigError
        A setting is out of bounds, or centering is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import class_spectra
    >>> x = np.array([[1.0, 0.0], [2.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> found = class_spectra(x, np.array([0, 0, 1, 1]), n_classes=2)
    >>> [(one.index, round(one.effective_rank, 2)) for one in found.per_class]
    [(0, 1.0), (1, 2.0)]
    """
    for field, value, least in (
        ("max_classes", max_classes, 1),
        ("max_rows", max_rows, 2),
        ("seed", seed, 0),
    ):
        if value < least:
            raise ConfigError(f"{field} must be {least} or more, got {value}", field=field)
    x = as_numbers(x, field="x")
    if x.ndim != 2 or not x.size:
        spectrum(x)  # raises what is wrong with it
    labels = as_labels(y, n_rows=len(x), n_classes=n_classes, field="y")
    sizes = np.bincount(labels, minlength=n_classes)
    largest_first = np.argsort(-sizes, kind="stable")
    n_big_enough = int(np.count_nonzero(sizes >= 2))
    chosen = largest_first[: min(max_classes, n_big_enough)].tolist()
    return ClassSpectra(
        n_classes=n_classes,
        centering=centering,
        per_class=tuple(
            _of_class(index, x, np.flatnonzero(labels == index), centering, max_rows, seed)
            for index in chosen
        ),
        n_left_out=n_big_enough - len(chosen),
        n_too_small=n_classes - n_big_enough,
    )


def _of_class(
    index: int,
    x: NDArray[Any],
    rows: NDArray[np.int64],
    centering: Centring,
    max_rows: int,
    seed: int,
) -> ClassSpectrum:
    support = len(rows)
    if support > max_rows:
        generator = np.random.default_rng([seed, index])
        rows = np.sort(generator.choice(rows, max_rows, replace=False))
    found = _spectrum_of(x, rows, centering)
    return ClassSpectrum(
        index=index,
        support=support,
        n_rows=len(rows),
        entropy=found.entropy,
        largest_ratio=found.largest_ratio,
        effective_rank=found.effective_rank,
    )


def _spectrum_of(x: NDArray[Any], rows: NDArray[np.int64], centering: Centring) -> Spectrum:
    try:
        return spectrum(x[rows], centering=centering)
    except DataError as wrong:
        if wrong.row is None:
            raise
        # The error counts rows within the class; the caller knows those of x.
        row = int(rows[wrong.row])
        raise DataError(
            f"x must be finite, but row {row}, column {wrong.column} is not",
            field="x",
            row=row,
            column=wrong.column,
        ) from None

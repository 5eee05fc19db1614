"""The home of the spectrum diagnostics class by class: which classes lie along few directions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import ConfigError, DataError
from nmtune.rows import as_labels, as_numbers
from nmtune.spectrum import Centring, Spectrum, spectrum
from nmtune.torch_state import own_state

MAX_CLASSES: Final = 50
MAX_ROWS: Final = 2000
"""Rows of a class that are looked at by default: about 10 s for 50 classes of 1024 columns."""


@dataclass(frozen=True, kw_only=True)
class ClassSpectrum:
    """The spectrum of one class.

    n_rows rows span at most n_rows directions, so compare a class with itself before and after
    tuning, not with a class of another size.

    Attributes
    ----------
    index
        The class.
    support
        Its rows.
    n_rows
        How many of them were looked at.
    entropy, largest_ratio, effective_rank
        SVE and LSVR in nats, and the number of directions: see `Spectrum`.
    """

    index: int
    support: int
    n_rows: int
    entropy: float
    largest_ratio: float
    effective_rank: float


@dataclass(frozen=True, kw_only=True)
class ClassSpectra:
    """The spectra of the largest classes, the largest first (of equals the lower index).

    Attributes
    ----------
    n_classes
        Number of all class indices.
    centering
        As given to `class_spectra`.
    per_class
        The spectra.
    n_left_out
        Classes with rows enough beyond the bound.
    n_too_small
        Classes with fewer than two rows, which have no spectrum to speak of.
    """

    n_classes: int
    centering: Centring
    per_class: tuple[ClassSpectrum, ...]
    n_left_out: int
    n_too_small: int

    def to_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """The same with class names in plain Python values, ready for JSON.

        Raises DataError where `classes` does not name every class.
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
    """Compute the spectrum of the rows of each class.

    Parameters
    ----------
    x
        Embeddings (n, d); may be memory-mapped: the rows of one class are held at a time.
    y
        Class indices (n,).
    n_classes
        Number of classes.
    centering
        As for `spectrum`.
    max_classes
        How many classes at most, the largest first.
    max_rows
        How many rows of a class at most. Of a larger class that many are drawn with `seed`: the
        same
        y draws the same rows, so embeddings and tuned embeddings can be compared.
    seed
        0 or more.

    Returns
    -------
    ClassSpectra

    Raises
    ------
    DataError
        x is not finite real numbers (it names the row), or y not an index of a class for each row.
    ConfigError
        max_classes is below 1, max_rows below 2, seed negative or the centering unknown.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(60, 8))
    >>> found = class_spectra(x, np.arange(60) % 3, n_classes=3)
    >>> [(one.index, one.support) for one in found.per_class]
    [(0, 20), (1, 20), (2, 20)]
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
        spectrum(x)  # says what is wrong with it
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
        # It counts among the rows of the class; the caller knows those of x.
        row = int(rows[wrong.row])
        raise DataError(
            f"x must be finite numbers, row {row}, column {wrong.column} is not",
            field="x",
            row=row,
            column=wrong.column,
        ) from None

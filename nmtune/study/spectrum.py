"""Singular values of a tall matrix in bounded memory, and the diagnostics SVE and LSVR.

Source: "Impact of Noisy Supervision in Foundation Model Learning" (arXiv 2403.06869), section 2.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import ConfigError, DataError
from nmtune.numeric.gram import float32_noise, float64_error, random_error
from nmtune.numeric.torch_state import own_state
from nmtune.rows.checks import as_numbers

Centring: TypeAlias = Literal["none", "columns", "reference"]
_Array: TypeAlias = NDArray[np.float64]

_CHUNK_VALUES = 2**21  # 16 MiB of float64
# The error in entropy and largest ratio above which a Gram matrix is redone in more precision: half
# of what is promised. The estimates err high.
_TRUSTED_ERROR = 5e-7
# Float32 only pays from this many chunks on: with fewer the check costs more than it saves.
_CHUNKS_WORTH_FLOAT32 = 4
# Values this far from 1 would leave float64 when squared and summed.
_SAFE_MAGNITUDES = (1e-100, 1e100)


@dataclass(frozen=True, kw_only=True, eq=False)
class Spectrum:
    """The singular values s of an (n, d) matrix and their summary, with p = s / sum(s).

    A matrix that is zero after centring has no direction: its three summary numbers are 0.

    Attributes
    ----------
    singular_values : ndarray of float64, shape (min(n, d),)
        Largest first.
    entropy : float
        SVE, the singular value entropy -sum(p log p), in nats; larger means a flatter spectrum.
    largest_ratio : float
        LSVR, -log(p_1), in nats; larger means a weaker dominant direction.
    effective_rank : float
        exp(entropy): how many equal singular values would have that entropy.
    centering : {"none", "columns", "reference"}
        As given to `spectrum`.
    n_rows, n_columns : int
        n and d.
    """

    singular_values: _Array = field(repr=False)
    entropy: float
    largest_ratio: float
    effective_rank: float
    centering: Centring
    n_rows: int
    n_columns: int


@own_state()
def spectrum(
    x: NDArray[Any], *, centering: Centring = "none", chunk_rows: int | None = None
) -> Spectrum:
    r"""Singular values, entropy (SVE) and largest ratio (LSVR) of embeddings.

    With singular values :math:`s_1 \ge s_2 \ge \dots` and :math:`p_i = s_i / \sum_j s_j`
    (arXiv 2403.06869, section 2)

    .. math:: \mathrm{SVE} = -\sum_i p_i \log p_i, \qquad \mathrm{LSVR} = -\log p_1.

    Parameters
    ----------
    x : ndarray or memory map of real numbers, shape (n, d)
        Embeddings of any precision; never copied whole unless n <= d.
    centering : {"none", "columns", "reference"}, default="none"
        "columns" subtracts each column's mean. "reference" scales each row to length 1 and
        subtracts the row's own mean, as the paper's authors do.
    chunk_rows : int, optional
        Rows held at a time; by default about 16 MiB of float64, and at least d rows.

    Returns
    -------
    Spectrum

    Raises
    ------
    DataError
        x is not two-dimensional, is empty, or holds something that is not a finite real number;
        ``row`` and ``column`` say where.
    ConfigError
        centering is unknown, or chunk_rows is below 1.

    Notes
    -----
    Entropy and largest ratio agree with a full float64 SVD to 1e-6, and each singular value to 1e-6
    of the largest one. x is read twice (three times for "columns"): a check, then a d x d Gram
    matrix whose chunks are multiplied in float32 and added in float64. If that is not precise
    enough, x is read again for a Gram matrix all in float64, and if need be once more for a QR,
    chunk by chunk. Memory does not grow with n: it holds a few d x d float64 matrices and two
    chunks; the QR holds four chunks of at least d rows.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import spectrum
    >>> found = spectrum(np.diag([2.0, 1.0, 1.0]))
    >>> found.singular_values.tolist()
    [2.0, 1.0, 1.0]
    >>> round(found.entropy, 3), round(found.largest_ratio, 3), round(found.effective_rank, 2)
    (1.04, 0.693, 2.83)
    """
    x = _checked(x, centering, chunk_rows)
    n_rows, n_columns = x.shape
    chunk_rows = chunk_rows or max(n_columns, _CHUNK_VALUES // n_columns)
    scale = _scale(x, chunk_rows)
    if scale == 0:
        values = np.zeros(min(n_rows, n_columns))
    else:
        values = _singular_values(_Rows(x, centering, scale, chunk_rows))
    entropy, largest_ratio = _summarise(values)
    return Spectrum(
        singular_values=values * scale if centering != "reference" else values,
        entropy=entropy,
        largest_ratio=largest_ratio,
        effective_rank=math.exp(entropy) if values[0] > 0 else 0.0,
        centering=centering,
        n_rows=n_rows,
        n_columns=n_columns,
    )


class _Rows:
    """The rows of x, scaled and centred, as chunks of float64 or float32."""

    def __init__(self, x: NDArray[Any], centering: Centring, scale: float, chunk_rows: int) -> None:
        self.shape = x.shape
        self.chunk_rows = chunk_rows
        self._x = x
        self._centering = centering
        self._scale = scale
        self._origin = self._mean = np.zeros(x.shape[1])
        if centering == "columns":
            # Measured from the first row, a constant column becomes exactly 0 and a large common
            # mean costs no digits.
            self._origin = np.asarray(x[0], dtype=np.float64) / scale
            total = np.zeros(x.shape[1])
            for chunk in self.chunks(chunk_rows):
                total += chunk.sum(axis=0)
            self._mean = total / len(x)

    def chunks(self, chunk_rows: int) -> Iterator[_Array]:
        for start in range(0, self.shape[0], chunk_rows):
            yield self.some(slice(start, start + chunk_rows))

    def float32_chunks(self) -> Iterator[NDArray[np.float32]]:
        is_plain = self._centering == "none" and self._scale == 1
        for start in range(0, self.shape[0], self.chunk_rows):
            at = slice(start, start + self.chunk_rows)
            yield (self._x[at] if is_plain else self.some(at)).astype(np.float32, copy=False)

    def some(self, at: slice) -> _Array:
        chunk = self._x[at].astype(np.float64)
        if self._scale != 1:
            chunk /= self._scale
        if self._centering == "columns":
            chunk -= self._origin
            chunk -= self._mean
        elif self._centering == "reference":
            _centre_rows(chunk)
        return chunk


def _centre_rows(chunk: _Array) -> None:
    """Rows to length 1 (zero rows stay zero), then each row's own mean subtracted; in place."""
    largest = np.maximum(chunk.max(axis=1, keepdims=True), -chunk.min(axis=1, keepdims=True))
    chunk /= np.where(largest > 0, largest, 1)
    length = np.sqrt(np.einsum("ij,ij->i", chunk, chunk))[:, None]
    chunk /= np.where(length > 0, length, 1)
    # First minus the first entry, so that a constant row becomes exactly 0.
    chunk -= chunk[:, :1].copy()
    chunk -= chunk.mean(axis=1, keepdims=True)


def _singular_values(rows: _Rows) -> _Array:
    """All min(n, d) singular values, largest first."""
    n_rows, n_columns = rows.shape
    if n_rows >= max(n_columns, _CHUNKS_WORTH_FLOAT32 * rows.chunk_rows):
        quick = _by_float32(rows)
        if quick is not None:
            return quick
    if n_rows <= n_columns:
        # The matrix is no larger than a d x d Gram matrix would be: take it whole.
        (whole,) = rows.chunks(n_rows)
        gram = whole @ whole.T
    else:
        gram = np.zeros((n_columns, n_columns))
        for chunk in rows.chunks(rows.chunk_rows):
            gram += chunk.T @ chunk
    eigenvalues = _eigenvalues(gram)
    if float64_error(gram, eigenvalues, n_terms=max(n_rows, n_columns)) <= _TRUSTED_ERROR:
        return np.sqrt(np.maximum(eigenvalues, 0))
    triangle = whole if n_rows <= n_columns else _triangle(rows)
    return np.asarray(np.linalg.svd(triangle, compute_uv=False), dtype=np.float64)


def _by_float32(rows: _Rows) -> _Array | None:
    """All singular values from float32 products, or None if those are not precise enough."""
    n_rows, n_columns = rows.shape
    gram = np.zeros((n_columns, n_columns))
    # Values outside float32's range show in the noise or in the Gram matrix.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        # Rows from all over the matrix, in case they are sorted. A quarter of a chunk is enough: as
        # a share, the noise hardly depends on how many rows are summed. It is random and so falls
        # from chunk to chunk, but nothing relies on that.
        sample = rows.some(slice(0, None, 4 * n_rows // rows.chunk_rows))
        narrow = sample.astype(np.float32)
        share = float32_noise(sample, narrow.T @ narrow)
        squares = np.square(sample).sum(axis=0) * (n_rows / len(sample))
        for chunk in rows.float32_chunks():
            gram += chunk.T @ chunk
    if not (math.isfinite(share) and np.isfinite(gram).all()):
        return None
    eigenvalues = _eigenvalues(gram)
    # A column much longer than the sample suggests has a few very large entries, beside which
    # float32 loses the others: the sample then underestimates the noise by about as much.
    with np.errstate(divide="ignore", invalid="ignore"):
        unforeseen = float((gram.diagonal() / squares).max())
    noise = share * unforeseen * float(gram.diagonal().max())
    is_exact = random_error(eigenvalues, noise=noise) <= _TRUSTED_ERROR
    return np.sqrt(eigenvalues) if is_exact else None


def _eigenvalues(gram: _Array) -> _Array:
    """The eigenvalues of a symmetric matrix, largest first."""
    return np.asarray(np.linalg.eigvalsh(gram)[::-1], dtype=np.float64)


def _triangle(rows: _Rows) -> _Array:
    """R of a QR of all rows, chunk by chunk: it has the same singular values, unsquared."""
    import torch  # few matrices need it

    n_columns = rows.shape[1]
    triangle = np.zeros((0, n_columns))
    for chunk in rows.chunks(max(rows.chunk_rows, n_columns)):
        # numpy's QR takes ten times as long on a busy machine, since its threads spin.
        stacked = torch.from_numpy(np.concatenate([triangle, chunk]))
        triangle = torch.linalg.qr(stacked, mode="r").R.numpy()
    return triangle


def _summarise(values: _Array) -> tuple[float, float]:
    """Entropy and largest ratio of singular values, largest first; both 0 if all are zero."""
    if values[0] == 0:
        return 0.0, 0.0
    relative = values / values[0]
    shares = relative / relative.sum()
    nonzero = shares[shares > 0]
    # max: a single singular value gives -0.0.
    return max(0.0, float(-(nonzero * np.log(nonzero)).sum())), float(np.log(relative.sum()))


def _checked(x: NDArray[Any], centering: str, chunk_rows: int | None) -> NDArray[Any]:
    if centering not in get_args(Centring):
        choices = ", ".join(get_args(Centring))
        raise ConfigError(
            f"centering must be one of {choices}, got {centering!r}", field="centering"
        )
    if chunk_rows is not None and chunk_rows < 1:
        raise ConfigError(f"chunk_rows must be at least 1, got {chunk_rows}", field="chunk_rows")
    x = as_numbers(x, field="x")
    if x.ndim != 2 or x.size == 0:
        raise DataError(
            f"x must be (rows, columns) with at least one of each, got shape {x.shape}", field="x"
        )
    return x


def _scale(x: NDArray[Any], chunk_rows: int) -> float:
    """The divisor for x: 1, or its largest magnitude if that is extreme (0 if all are zero)."""
    largest = 0.0
    for start in range(0, len(x), chunk_rows):
        chunk = x[start : start + chunk_rows]
        magnitude = max(float(chunk.max()), -float(chunk.min()))
        if not math.isfinite(magnitude):
            row, column = (int(index) for index in np.argwhere(~np.isfinite(chunk))[0])
            raise DataError(
                f"x must be finite, got {chunk[row, column]} in row {start + row}, column {column}",
                field="x",
                row=start + row,
                column=column,
            )
        largest = max(largest, magnitude)
    low, high = _SAFE_MAGNITUDES
    return 1.0 if low <= largest <= high else largest

"""Read a safetensors file that a stranger wrote: numbers only, none of its claims believed.

The header is a length, then JSON that gives each tensor's type, shape and range of bytes. The
ranges must fill the file exactly, in any order, so that nothing overlaps, and nothing that is
allocated is larger than the file.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from providers.errors import InvalidEncoder
from providers.local import plain_json
from providers.local.files import WEIGHTS, Part

MAX_HEADER_BYTES: Final = 8 << 20
"""A model of 1,000 layers has 2 MB."""

ITEM_BYTES: Final = {"F32": 4, "F16": 2, "BF16": 2}
"""The types that weights may have."""

_LENGTH_BYTES: Final = 8
_MAX_AXES: Final = 8
_NUMBERS_AT_A_TIME: Final = 1 << 22


@dataclass(frozen=True)
class Tensor:
    """What the header says of one tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    """Where its bytes begin in the file."""
    end: int


def read_header(part: Part) -> dict[str, Tensor]:
    """The tensors of the file, by name. Raises InvalidEncoder unless they fill it exactly."""
    with part.path.open("rb") as file:
        file.seek(part.offset)
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if part.size_bytes < _LENGTH_BYTES or length > part.size_bytes - _LENGTH_BYTES:
            raise InvalidEncoder(
                WEIGHTS, "is damaged, or is no safetensors file: its header ends after the file."
            )
        if length > MAX_HEADER_BYTES:
            raise InvalidEncoder(
                WEIGHTS,
                f"has a header of {length:,} bytes, but may have at most {MAX_HEADER_BYTES:,}.",
            )
        header = plain_json.read_object(file.read(length), file=WEIGHTS)
    header.pop("__metadata__", None)
    begin = _LENGTH_BYTES + length
    found = {name: _tensor(name, entry, begin) for name, entry in header.items()}
    _check_ranges(found.values(), begin=begin, end=part.size_bytes)
    return found


def load(part: Part, tensors: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    """The tensors' numbers as float32, under the same names: the file's own pages if they are so
    there, which processes share.

    Raises InvalidEncoder for a number that is not finite.
    """
    whole = np.memmap(part.path, np.uint8, mode="r", offset=part.offset, shape=(part.size_bytes,))
    found = {name: _numbers(whole, tensor) for name, tensor in tensors.items()}
    for name, numbers in found.items():
        _check_finite(tensors[name], numbers.reshape(-1))
    return found


def _numbers(whole: NDArray[np.uint8], tensor: Tensor) -> NDArray[np.float32]:
    raw = np.asarray(whole[tensor.begin : tensor.end])
    if raw.ctypes.data % ITEM_BYTES[tensor.dtype]:
        raw = raw.copy()
    if tensor.dtype == "F32":
        return raw.view("<f4").reshape(tensor.shape)
    if tensor.dtype == "F16":
        return raw.view("<f2").astype(np.float32).reshape(tensor.shape)
    halves = raw.view("<u2").astype(np.uint32)  # bfloat16 is the upper half of a float32
    halves <<= 16
    return halves.view(np.float32).reshape(tensor.shape)


def _check_finite(tensor: Tensor, numbers: NDArray[np.float32]) -> None:
    for start in range(0, numbers.size, _NUMBERS_AT_A_TIME):
        if not np.isfinite(numbers[start : start + _NUMBERS_AT_A_TIME]).all():
            raise InvalidEncoder(
                WEIGHTS,
                "holds a number that is not finite (NaN or infinity): save the model again from a "
                "sound checkpoint.",
                tensor=tensor.name,
            )


def _tensor(name: str, entry: Any, begin: int) -> Tensor:
    try:
        dtype, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise _damaged(name, "is described in no way that safetensors knows") from None
    sizes = [*shape, start, end] if isinstance(shape, list) else [None]
    if not isinstance(dtype, str) or len(sizes) > _MAX_AXES + 2:
        raise _damaged(name, "is described in no way that safetensors knows")
    if any(type(size) is not int or not 0 <= size < 1 << 48 for size in sizes):
        raise _damaged(name, "has a shape or place that is none")
    if dtype in ITEM_BYTES and math.prod(shape) * ITEM_BYTES[dtype] != end - start:
        raise _damaged(
            name, f"says the shape {shape} of {dtype}, which does not fit its {end - start:,} bytes"
        )
    return Tensor(name, dtype, tuple(shape), begin + start, begin + end)


def _check_ranges(tensors: Iterable[Tensor], *, begin: int, end: int) -> None:
    at = begin
    for tensor in sorted(tensors, key=lambda tensor: (tensor.begin, tensor.end)):
        if tensor.begin < at:
            raise _damaged(tensor.name, "shares bytes with another, or ends before it begins")
        if tensor.begin > at:
            raise _damaged(tensor.name, f"begins {tensor.begin - at:,} bytes after the one before")
        if tensor.end > end or tensor.end < tensor.begin:
            raise _damaged(tensor.name, "ends after the file")
        at = tensor.end
    if at != end:
        raise InvalidEncoder(
            WEIGHTS, f"has {end - at:,} bytes after the last tensor: save it again."
        )


def _damaged(name: str, what: str) -> InvalidEncoder:
    return InvalidEncoder(WEIGHTS, f"{what}: save the file again.", tensor=name)

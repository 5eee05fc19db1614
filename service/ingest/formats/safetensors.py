"""Read safetensors files from strangers: a checked header, then tensors in blocks.

The format is https://github.com/huggingface/safetensors#format. The claims of the header are
compared with the size of the file before anything is read.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import IO, Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from service.ingest.errors import FIELD, BadInput
from service.ingest.limits import BLOCK_BYTES, MAX_LABEL_BYTES
from service.ingest.names.labels import check_classes
from service.ingest.numbers import check_size

MAX_HEADER_BYTES: Final = 1 << 20
CLASS_NAMES: Final = ("class_names", "classes")

_PREFIX_BYTES: Final = 8
_BFLOAT16: Final = "BF16"
_FLOATS: Final = {"F16": "<f2", "F32": "<f4", "F64": "<f8", _BFLOAT16: "<u2"}
_INTEGERS: Final = {
    "I8": "<i1", "U8": "<u1", "I16": "<i2", "U16": "<u2",
    "I32": "<i4", "U32": "<u4", "I64": "<i8", "U64": "<u8",
}  # fmt: skip
_VALUES: Final = _INTEGERS | {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BOOL": "|b1"}


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor as the header describes it; `begin` and `end` count from the file's start."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def numpy_dtype(self) -> np.dtype[Any] | None:
        """The dtype, if it is a float that numpy has: not bfloat16."""
        name = None if self.dtype == _BFLOAT16 else _FLOATS.get(self.dtype)
        return None if name is None else np.dtype(name)


@dataclass(frozen=True, kw_only=True)
class TensorFile:
    """The header of a file, every claim checked against the file's size."""

    tensors: Mapping[str, Tensor]
    class_names: tuple[str, ...] | None

    @classmethod
    def open(cls, file: IO[bytes], *, size: int) -> "TensorFile":
        """Read and check the header of a file of `size` bytes; raises BadInput."""
        length = int.from_bytes(file.read(_PREFIX_BYTES), "little")
        start = _PREFIX_BYTES + length
        if length > MAX_HEADER_BYTES or start > size or length < 2:
            raise _damaged(f"a header of {length:,} bytes is impossible")
        try:
            header = orjson.loads(file.read(length))
        except orjson.JSONDecodeError as error:
            raise _damaged("its header is not JSON") from error
        if not isinstance(header, dict):
            raise _damaged("its header is not an object")
        metadata = header.pop("__metadata__", None) or {}
        tensors = {name: _tensor(name, entry, start, size) for name, entry in header.items()}
        _check_layout(tensors.values(), start, size)
        return cls(tensors=tensors, class_names=_class_names(metadata))

    def embeddings(self, name: str) -> Tensor:
        """The tensor as a matrix of floats within the limits, or BadInput."""
        tensor = self.tensors[name]
        if tensor.dtype not in _FLOATS:
            raise BadInput(
                "tensor_dtype",
                f"{name} holds {tensor.dtype}, but embeddings must be F16, BF16, F32 or F64.",
                field=name,
            )
        if len(tensor.shape) != 2:
            raise BadInput(
                "tensor_shape",
                f"{name} has the shape {list(tensor.shape)[:8]}, but embeddings must be (rows, "
                "columns).",
                field=name,
            )
        check_size(*tensor.shape, field=name)
        return tensor

    def values(self, file: IO[bytes], name: str) -> NDArray[Any]:
        """The values (n,) of a tensor of labels: integers, floats or Booleans; or BadInput."""
        tensor = self.tensors[name]
        dtype = _VALUES.get(tensor.dtype)
        if dtype is None or len(tensor.shape) != 1:
            raise BadInput(
                "tensor_dtype",
                f"{name} is {tensor.dtype} of shape {list(tensor.shape)[:8]}, but labels must be "
                "integers, one per row, with class_names in the metadata if they have names.",
                field=name,
            )
        if tensor.end - tensor.begin > MAX_LABEL_BYTES:
            raise BadInput(
                "too_large", f"{name} takes more than {MAX_LABEL_BYTES >> 20} MiB.", field=name
            )
        file.seek(tensor.begin)
        return np.frombuffer(file.read(tensor.end - tensor.begin), dtype)

    def blocks(self, file: IO[bytes], tensor: Tensor) -> Iterator[NDArray[Any]]:
        """The rows of a matrix, some at a time; bfloat16 as float32, which holds it exactly."""
        n_rows, n_columns = tensor.shape
        dtype = np.dtype(_FLOATS[tensor.dtype])
        step = max(1, BLOCK_BYTES // (n_columns * dtype.itemsize))
        for start in range(0, n_rows, step):
            count = min(step, n_rows - start)
            file.seek(tensor.begin + start * n_columns * dtype.itemsize)
            values = np.frombuffer(file.read(count * n_columns * dtype.itemsize), dtype)
            if tensor.dtype == _BFLOAT16:
                values = (values.astype("<u4") << 16).view("<f4")
            yield values.reshape(count, n_columns)


def _tensor(name: str, entry: object, start: int, size: int) -> Tensor:
    try:
        if not isinstance(entry, dict):
            raise TypeError("no object")
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, begin, end]
        if not isinstance(dtype, str) or any(type(n) is not int or n < 0 for n in numbers):
            raise TypeError("wrong types")
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(f"the entry of {name[:40]!r} is broken") from error
    known = _FLOATS | _VALUES
    if not shape or 0 in shape:
        raise BadInput(
            "tensor_shape", f"{name[:80]} is empty or has no dimension.", field=name[:80]
        )
    if start + end > size or end < begin:
        raise _damaged(f"{name[:40]!r} lies outside the file: was the upload cut off?")
    if dtype in known and prod(shape) * np.dtype(known[dtype]).itemsize != end - begin:
        raise _damaged(f"the shape of {name[:40]!r} does not fit its bytes")
    return Tensor(
        name=name, dtype=dtype[:20], shape=tuple(shape), begin=start + begin, end=start + end
    )


def _check_layout(tensors: Iterable[Tensor], start: int, size: int) -> None:
    """The format has no checksum, but every byte belongs to one tensor, so lost bytes show."""
    end = start
    for tensor in sorted(tensors, key=lambda tensor: (tensor.begin, tensor.end)):
        if tensor.begin != end:
            raise _damaged(f"{tensor.name[:40]!r} does not begin where the tensor before it ends")
        end = tensor.end
    if end != size:
        raise _damaged(f"it has {size - end:,} bytes after its last tensor")


def _class_names(metadata: object) -> tuple[str, ...] | None:
    given = metadata if isinstance(metadata, dict) else {}
    text = next((given[name] for name in CLASS_NAMES if isinstance(given.get(name), str)), None)
    if text is None:
        return None
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError:
        names = None
    if not isinstance(names, list) or not all(type(name) is str for name in names):
        raise BadInput(
            "invalid_label",
            "class_names in the metadata must be a JSON list of strings.",
            field="class_names",
        )
    return check_classes(names, field="class_names")


def _damaged(what: str) -> BadInput:
    return BadInput(
        "damaged_file",
        f"The file cannot be read as safetensors: {what}.",
        field=FIELD,
        malformed=True,
    )

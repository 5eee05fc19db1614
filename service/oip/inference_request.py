"""Read requests of the Open Inference Protocol: what `/infer` is sent, as an array.

A request is JSON. With the binary tensor extension the header `Inference-Header-Content-Length`
says where the JSON ends, and the bytes of the tensor follow. A shape is used only once as many
bytes or numbers are there, so a false claim costs no memory. `service.oip.schemas` has the same
shapes for the documentation: validating every number with them would be too slow.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from service.http import json_body
from service.http.errors import Problem
from service.ingest.limits import MAX_COLUMNS
from service.ingest.numbers import as_float32
from service.predict.options import ClassShares

INPUT: Final = "embeddings"
PROBABILITIES: Final = "probabilities"
LABELS: Final = "labels"
OUTPUTS: Final = (PROBABILITIES, LABELS)

LENGTH_HEADER: Final = "Inference-Header-Content-Length"

DATATYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "FP32": np.dtype("<f4"),
    "FP16": np.dtype("<f2"),
    "FP64": np.dtype("<f8"),
}

_SHARES: Final = TypeAdapter[dict[str, float]](ClassShares)
_LENGTH: Final = re.compile(r"[0-9]{1,15}")
_NUMBERS: Final = {int, float}


@dataclass(frozen=True, kw_only=True)
class RequestedOutput:
    """An output to be answered, and its form."""

    name: str
    is_binary: bool = False
    n_best: int = 0
    """How many classes to name per row (classification extension); 0: the tensor itself."""


@dataclass(frozen=True, kw_only=True)
class InferRequest:
    """A request to `/infer`."""

    id: str | None
    """Returned with the answer."""
    x: NDArray[np.float32]
    """(n, d), n and d at least 1, aligned; FP32 may hold values that are not finite."""
    outputs: tuple[RequestedOutput, ...]
    class_shares: dict[str, float] | None = None

    @property
    def n_rows(self) -> int:
        """How many embeddings."""
        return len(self.x)


def read(
    body: bytes, header_length: str | None, *, check_n_rows: Callable[[int], None]
) -> InferRequest:
    """Read the request in `body`; `header_length` is the header that says where its JSON ends.

    Raises:
        Problem: 400 `invalid_json` or `invalid_inference`, saying what is wrong.
        BadInput: an FP16 or FP64 value is not finite, or too large for float32; or
            `check_n_rows` refuses the number of rows.
    """
    n_json = len(body) if header_length is None else _json_length(header_length, len(body))
    asked = json_body.parse(body[:n_json])
    if not isinstance(asked, dict):
        raise invalid("The request must be a JSON object.")
    id_ = asked.get("id")
    if id_ is not None and not isinstance(id_, str):
        raise invalid("id must be a string.")
    outputs = _outputs(asked)
    tensor = _the_input(asked.get("inputs"))
    x = _array(tensor, memoryview(body)[n_json:], header_length is not None, check_n_rows)
    return InferRequest(id=id_, x=x, outputs=outputs, class_shares=_class_shares(asked))


def _class_shares(asked: Mapping[str, Any]) -> dict[str, float] | None:
    """The parameter class_shares: an object, or its JSON, for clients that send only values."""
    shares = _parameters(asked, "parameters").get("class_shares")
    try:
        return None if shares is None else _SHARES.validate_python(shares)
    except ValidationError:
        raise invalid(
            "class_shares must be an object of class names and shares, or that object as JSON: "
            '{"ham":0.5,"spam":0.5}.'
        ) from None


def invalid(message: str) -> Problem:
    """The refusal of a request that breaks the protocol."""
    return Problem(HTTPStatus.BAD_REQUEST, "invalid_inference", message)


def _json_length(text: str, n_bytes: int) -> int:
    if not _LENGTH.fullmatch(text) or not 0 < int(text) <= n_bytes:
        raise invalid(
            f"{LENGTH_HEADER} must be the number of bytes of JSON at the start of the body, here 1 "
            f"to {n_bytes}."
        )
    return int(text)


def _outputs(asked: Mapping[str, Any]) -> tuple[RequestedOutput, ...]:
    """The requested outputs; all of them if the request names none."""
    is_binary = _flag(_parameters(asked, "parameters"), "binary_data_output", default=False)
    named = asked.get("outputs") or [{"name": name} for name in OUTPUTS]
    if not isinstance(named, list) or len(named) > len(OUTPUTS):
        raise invalid(f"outputs must be a list of at most {len(OUTPUTS)}: {_one_of(OUTPUTS)}.")
    found = tuple(_output(one, is_binary) for one in named)
    if len({output.name for output in found}) < len(found):
        raise invalid("outputs must not name the same output twice.")
    return found


def _output(one: object, is_binary: bool) -> RequestedOutput:
    name = one.get("name") if isinstance(one, dict) else None
    if not isinstance(one, dict) or name not in OUTPUTS:
        raise invalid(f"Each output must be an object with the name {_one_of(OUTPUTS)}.")
    parameters = _parameters(one, f"parameters of the output {name}")
    _refuse_shared_memory(parameters)
    n_best = parameters.get("classification", 0)
    if type(n_best) is not int or n_best < 0:
        raise invalid("classification must be a whole number: how many classes to name.")
    if n_best and name != PROBABILITIES:
        raise invalid(f"classification is possible only for the output {PROBABILITIES}.")
    return RequestedOutput(
        name=name,
        is_binary=_flag(parameters, "binary_data", default=is_binary),
        n_best=n_best,
    )


def _the_input(inputs: object) -> Mapping[str, Any]:
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise invalid(f"inputs must be a list of one tensor, {INPUT}.")
    tensor: dict[str, Any] = inputs[0]
    if tensor.get("name") != INPUT:
        raise invalid(f"The input must be named {INPUT}.")
    return tensor


def _array(
    tensor: Mapping[str, Any],
    rest: memoryview,
    has_binary: bool,
    check_n_rows: Callable[[int], None],
) -> NDArray[np.float32]:
    """The input as (n, d), from its numbers or from the `rest` of the body after the JSON."""
    datatype = tensor.get("datatype")
    dtype = DATATYPES.get(datatype) if isinstance(datatype, str) else None
    if dtype is None:
        raise invalid(f"The datatype of {INPUT} must be {_one_of(tuple(DATATYPES))}.")
    n_rows, n_columns = _shape(tensor.get("shape"))
    parameters = _parameters(tensor, f"parameters of the input {INPUT}")
    _refuse_shared_memory(parameters)
    n_bytes = parameters.get("binary_data_size")
    if (n_bytes is None) == ("data" not in tensor):
        raise invalid(f"{INPUT} needs either data, or binary_data_size in its parameters.")
    if n_bytes is None:
        if len(rest):
            raise invalid(f"{len(rest):,} bytes follow the JSON, but no tensor claims them.")
        values = _of_numbers(tensor["data"], n_rows, n_columns, dtype)
    elif not has_binary:
        raise invalid(f"binary_data_size needs the header {LENGTH_HEADER}, the length of the JSON.")
    else:
        values = _of_bytes(rest, n_bytes, n_rows, n_columns, dtype)
    check_n_rows(n_rows)
    if dtype.itemsize == np.dtype(np.float32).itemsize:
        # After JSON of any length the numbers may be unaligned, which computing needs them to be.
        return np.require(values, np.float32, "A")
    return as_float32(values, field=INPUT)


def _shape(shape: object) -> tuple[int, int]:
    if (
        not isinstance(shape, list)
        or len(shape) != 2
        or not all(type(size) is int and size >= 1 for size in shape)
    ):
        raise invalid(f"The shape of {INPUT} must be [rows, columns], both at least 1.")
    n_rows, n_columns = shape
    if n_columns > MAX_COLUMNS:
        raise invalid(f"{INPUT} must have at most {MAX_COLUMNS} columns.")
    return n_rows, n_columns


def _of_bytes(
    rest: memoryview, n_bytes: object, n_rows: int, n_columns: int, dtype: np.dtype[Any]
) -> NDArray[Any]:
    due = n_rows * n_columns * dtype.itemsize
    if type(n_bytes) is not int or n_bytes != due or len(rest) != due:
        raise invalid(
            f"The shape and datatype of {INPUT} mean {due} bytes, but binary_data_size is "
            f"{n_bytes if type(n_bytes) is int else 'not a whole number'}, and {len(rest)} bytes "
            "follow the JSON: all three must agree."
        )
    return np.frombuffer(rest, dtype).reshape(n_rows, n_columns)


def _of_numbers(data: object, n_rows: int, n_columns: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Numbers in one flat list, or in one list per row."""
    if not isinstance(data, list):
        raise invalid(f"data of {INPUT} must be a list of numbers, or a list of rows.")
    if data and isinstance(data[0], list):
        if len(data) != n_rows or not all(
            isinstance(row, list) and len(row) == n_columns for row in data
        ):
            raise _wrong_data(n_rows, n_columns)
        kinds = set(map(type, chain.from_iterable(data)))
    else:
        if len(data) != n_rows * n_columns:
            raise _wrong_data(n_rows, n_columns)
        kinds = set(map(type, data))
    # Check types before numpy converts: it would take true, "1.5" and null as numbers.
    if not kinds <= _NUMBERS:
        raise invalid(f"data of {INPUT} must hold only numbers.")
    with np.errstate(over="ignore"):
        return np.array(data, dtype).reshape(n_rows, n_columns)


def _wrong_data(n_rows: int, n_columns: int) -> Problem:
    return invalid(
        f"data of {INPUT} must hold {n_rows} x {n_columns} numbers, as its shape says, in one flat "
        "list or in a list of rows."
    )


def _parameters(owner: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """The parameters of `owner`; unknown ones pass, because they may be meant for other servers."""
    parameters = owner.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise invalid(f"The {what} must be an object.")
    return parameters


def _flag(parameters: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise invalid(f"{name} must be true or false.")
    return value


def _refuse_shared_memory(parameters: Mapping[str, Any]) -> None:
    if "shared_memory_region" in parameters:
        raise invalid("Shared memory is not supported: send the tensor's data with the request.")


def _one_of(names: tuple[str, ...]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]])

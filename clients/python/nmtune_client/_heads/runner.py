"""Classify embeddings with the head beside this file, using only numpy.

    python run.py embeddings.npy [head.safetensors]

prints one line per row, separated by tabs: the label, then the probability of each class. Or

    from run import predict_proba
    probabilities, classes = predict_proba(x)

Needs Python 3.9 or newer and numpy; reads the safetensors format by itself and runs nothing in it.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

HEAD = "head.safetensors"
BATCHNORM_EPS = 1e-5
ROWS_AT_A_TIME = 1024
MOST_HEADER_BYTES = 100_000_000

_DTYPES: dict[str, Any] = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "U8": np.dtype("u1"),
}

# What reading a damaged or hostile file may raise.
_WRONG = (
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
)

_heads: dict[str, Head] = {}


def predict_proba(
    x: Any, head: str | Path | None = None
) -> tuple[np.ndarray[Any, np.dtype[np.float32]], list[str]]:
    """Probabilities (n, c) of embeddings x (n, d), and the classes: the names of the columns.

    x must come from the model that made the training embeddings, in any number type. head: the path
    of a head, by default the one beside this file; it is read once. Raises ValueError, which says
    what is wrong with x or with the file.
    """
    head = Path(__file__).with_name(HEAD) if head is None else Path(head)
    key = str(head.resolve())
    if key not in _heads:
        _heads[key] = Head(head.read_bytes())
    return _heads[key].predict_proba(x), _heads[key].classes


class Head:
    """A trained head, out of the bytes of a safetensors file of NMTune; see `predict_proba`.

    classes: the names of the c classes. n_columns: d, the width of an embedding. temperature: what
    logits are divided by before the softmax.
    """

    def __init__(self, data: bytes) -> None:
        """Raises ValueError for bytes that are not a head, or are damaged."""
        try:
            document, tensors = _read(data)
            self.classes: list[str] = [str(name) for name in document["classes"]]
            self.n_columns = int(document["n_columns"])
            self.temperature = float(document["temperature"])
            self._members = [
                (float(member["weight"]), _of_member(tensors, f"{index}."))
                for index, member in enumerate(document["members"])
            ]
            if document["kind"] != "nmtune-head" or not self._members:
                raise ValueError("it holds something else")
            if not 0 < 4 * self.n_columns <= len(data):  # nothing larger than the file is made
                raise ValueError("n_columns does not fit the file")
            # What does not fit together shows when it is used.
            if self._logits(np.zeros((1, self.n_columns), np.float32)).shape[1:] != (
                len(self.classes),
            ):
                raise ValueError("there are not as many classes as columns")
        except (*_WRONG, struct.error) as wrong:
            raise ValueError(f"not a readable head: {wrong}") from None

    def predict_proba(self, x: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Probabilities (n, c) float32 of embeddings x (n, d); ValueError if x cannot be right."""
        with np.errstate(over="ignore"):  # what is beyond float32 is found below
            rows = np.asarray(x).astype(np.float32)
        if rows.ndim != 2 or not len(rows) or rows.shape[1] != self.n_columns:
            raise ValueError(f"expected rows of {self.n_columns} numbers, got shape {rows.shape}")
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            raise ValueError(f"row {int(finite.argmin())} has a value that is not finite")
        starts = range(0, len(rows), ROWS_AT_A_TIME)
        parts = [self._logits(rows[start : start + ROWS_AT_A_TIME]) for start in starts]
        with np.errstate(all="ignore"):  # what is not finite is found below
            scores = np.concatenate(parts) / np.float32(self.temperature)
        if not np.isfinite(scores).all():
            raise ValueError("the embeddings are too large for the head: are they from its model?")
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities: np.ndarray[Any, np.dtype[np.float32]] = powers / powers.sum(
            axis=1, keepdims=True
        )
        return probabilities

    def _logits(self, x: Any) -> Any:
        if len(self._members) == 1 and self._members[0][0] == 1:
            return _member_logits(x, self._members[0][1])
        with np.errstate(all="ignore"):
            parts = [np.float32(weight) * _member_logits(x, one) for weight, one in self._members]
            return np.sum(parts, axis=0, dtype=np.float32)


def _member_logits(x: Any, t: dict[str, Any]) -> Any:
    """The logits of one network; its tensors' names say which layers it has."""
    with np.errstate(all="ignore"):
        if "scaling.mean" in t:
            x = x - t["scaling.mean"]
        if "scaling.divisor" in t:
            x = x / t["scaling.divisor"]
        z = x
        if "transform.weight" in t:  # whitening
            z = _linear(x, t, "transform")
        elif "transform.scale" in t:  # a residual branch with BatchNorm
            hidden = _linear(x, t, "transform.branch.0")
            norm = {name: t[f"transform.branch.1.{name}"] for name in ("weight", "bias")}
            mean, variance = (t[f"transform.branch.1.running_{name}"] for name in ("mean", "var"))
            gain = norm["weight"] / np.sqrt(variance + np.float32(BATCHNORM_EPS))
            hidden = (hidden - mean) * gain + norm["bias"]
            z = x + t["transform.scale"] * _linear(np.maximum(hidden, 0), t, "transform.branch.3")
        elif "transform.into.weight" in t:  # bottlenecks: the classifier sees x and their units
            units = np.maximum(_linear(x, t, "transform.into"), 0)
            z = np.concatenate([x, units], axis=1)
        elif "transform.0.weight" in t:  # hidden units, and perhaps a layer after them
            z = np.maximum(_linear(x, t, "transform.0"), 0)
            if "transform.2.weight" in t:
                z = _linear(z, t, "transform.2")
        return _linear(z, t, "classifier")


def _linear(x: Any, t: dict[str, Any], name: str) -> Any:
    return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]


def _of_member(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    """One member's tensors, named without `0.network.` and the like."""
    return {
        name[len(prefix) :].replace("network.", "", 1): array
        for name, array in tensors.items()
        if name.startswith(prefix)
    }


def _read(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document and the tensors of a safetensors file; ValueError if it is damaged."""
    (n_header,) = struct.unpack("<Q", data[:8])
    if n_header > min(len(data) - 8, MOST_HEADER_BYTES):
        raise ValueError("the file is cut short")
    header = json.loads(data[8 : 8 + n_header])
    document = json.loads(header.pop("__metadata__")["nmtune"])
    content = memoryview(data)[8 + n_header :]
    tensors: dict[str, Any] = {}
    for name, entry in header.items():
        dtype, (start, end) = _DTYPES[entry["dtype"]], entry["data_offsets"]
        if not 0 <= start <= end <= len(content):
            raise ValueError(f"tensor {name} lies outside the file")
        values: Any = np.frombuffer(content[start:end], dtype)
        tensors[name] = values.reshape(entry["shape"])
    return document, tensors


def _rows(path: str) -> Any:
    """The array in an .npy file; ValueError, one sentence, for anything else."""
    try:
        with Path(path).open("rb") as file:
            is_npy = file.read(6) == b"\x93NUMPY"
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if not is_npy:
        raise ValueError(f"{path} is not an .npy file: write the rows with numpy.save")
    return np.load(path, allow_pickle=False)


def main(arguments: list[str]) -> int:
    """Print labels and probabilities; 0 if all went well, 2 for wrong input."""
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Classify embeddings with the head beside this file, using only numpy. Prints "
        "one line per row, separated by tabs: the label, then the probability of each class.",
        epilog="In Python: from run import predict_proba; probabilities, classes = "
        "predict_proba(x). Exit status: 0, or 2 for wrong input.",
    )
    parser.add_argument("embeddings", help="an .npy file of rows (n, d), of any number type")
    parser.add_argument("head", nargs="?", help=f"another head ({HEAD} beside this file)")
    try:
        given = parser.parse_args(arguments)
    except SystemExit as end:  # --help was asked for and given, or the usage is wrong
        return int(end.code or 0)
    try:
        probabilities, classes = predict_proba(_rows(given.embeddings), given.head)
    except (OSError, ValueError, EOFError) as error:
        sys.stderr.write(f"run.py: {error}\n")
        return 2
    sys.stdout.write("\t".join(["label", *classes]) + "\n")
    for row in probabilities:
        cells = [classes[int(row.argmax())], *(f"{value:.6g}" for value in row)]
        sys.stdout.write("\t".join(cells) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

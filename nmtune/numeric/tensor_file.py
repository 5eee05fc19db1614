"""Our byte format: named tensors and one JSON document in a safetensors file."""

import json
from collections.abc import Collection, Mapping
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

_KEY = "nmtune"


def pack(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """The bytes of a document and tensors; equal contents give equal bytes.

    The document is one metadata entry: safetensors writes several in no fixed order.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return safetensors.torch.save(stored, metadata={_KEY: text})


def unpack(
    data: bytes, *, kind: str, version: int, older: Collection[int] = ()
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The document and tensors in `data`, which must be of this kind and version.

    `older` are earlier versions that the caller also reads. Nothing in the bytes is run, and
    nothing larger than them is allocated. Tensors are copies with torch's own alignment, on which
    the last bits of a result can depend.

    Raises ValueError, which says what is wrong with the bytes.
    """
    try:
        tensors = {name: tensor.clone() for name, tensor in safetensors.torch.load(data).items()}
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        document = json.loads(header["__metadata__"][_KEY])
        found = document["kind"], document["version"]
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError, AssertionError):
        raise ValueError("the bytes are not a safetensors file of nmtune, or are damaged") from None
    if found[0] != kind or not (type(found[1]) is int and found[1] in {version, *older}):
        raise ValueError(f"expected {kind} version {version}, got {found[0]} version {found[1]}")
    return document, tensors


def check_layout(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless the tensors have the names, shapes and dtypes of `expected`.

    Floating-point tensors must also be finite.
    """
    if tensors.keys() != expected.keys():
        odd = sorted(tensors.keys() ^ expected.keys())
        raise ValueError(f"missing or unknown tensors: {', '.join(odd[:5])}")
    for name, tensor in tensors.items():
        like = expected[name]
        if tensor.shape != like.shape or tensor.dtype != like.dtype:
            raise ValueError(
                f"tensor {name} must be {like.dtype} {tuple(like.shape)}, "
                f"got {tensor.dtype} {tuple(tensor.shape)}"
            )
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ValueError(f"tensor {name} is not finite")


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names `prefix.name`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def sections(tensors: Mapping[str, Tensor], *prefixes: str) -> list[dict[str, Tensor]]:
    """The inverse of `prefixed` for several prefixes; ValueError for any other tensor."""
    found: list[dict[str, Tensor]] = [{} for _ in prefixes]
    for full_name, tensor in tensors.items():
        prefix, _, name = full_name.partition(".")
        if prefix not in prefixes:
            raise ValueError(f"unknown tensor {full_name[:80]}")
        found[prefixes.index(prefix)][name] = tensor
    return found

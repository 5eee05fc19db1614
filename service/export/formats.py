"""The formats that a head version is exported in."""

from typing import Final, Literal, TypeAlias

Format: TypeAlias = Literal["safetensors", "onnx", "bundle"]

MEDIA_TYPES: Final[dict[Format, str]] = {
    "safetensors": "application/octet-stream",
    "onnx": "application/octet-stream",
    "bundle": "application/zip",
}
SUFFIXES: Final[dict[Format, str]] = {
    "safetensors": ".safetensors",
    "onnx": ".onnx",
    "bundle": ".zip",
}

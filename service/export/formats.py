"""The formats that a head version is exported in."""

from typing import Final, Literal, TypeAlias

FolderFormat: TypeAlias = Literal["mlflow", "hf"]
Format: TypeAlias = Literal[
    "safetensors", "onnx", "bundle", "sklearn", "mlflow", "hf", "peft", "encoder"
]

MEDIA_TYPES: Final[dict[Format, str]] = {
    "safetensors": "application/octet-stream",
    "onnx": "application/octet-stream",
    "bundle": "application/zip",
    "sklearn": "application/octet-stream",
    "mlflow": "application/zip",
    "hf": "application/zip",
    "peft": "application/zip",
    "encoder": "application/zip",
}
FOLDER_SUFFIXES: Final[dict[FolderFormat, str]] = {"mlflow": "-mlflow", "hf": "-hf"}
SUFFIXES: Final[dict[Format, str]] = {
    "safetensors": ".safetensors",
    "onnx": ".onnx",
    "bundle": ".zip",
    "sklearn": ".skops",
    "mlflow": "-mlflow.zip",
    "hf": "-hf.zip",
    "peft": "-peft.zip",
    "encoder": "-encoder.zip",
}

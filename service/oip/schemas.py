"""JSON shapes of the Open Inference Protocol, with one example each."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.http.openapi import problems


class OipError(BaseModel):
    """The body of every answer under /v2 that is not a success."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"error": "There is no head 'cats'."}]}
    )

    error: str = Field(description="What is wrong and what to do.")


class ServerMetadata(BaseModel):
    """The server, and its extensions of the protocol."""

    name: Literal["nmtune"] = "nmtune"
    version: str
    extensions: list[str] = ["binary_tensor_data", "classification"]


class ServerLive(BaseModel):
    """The process answers."""

    live: Literal[True] = True


class ServerReady(BaseModel):
    """The service can take requests."""

    ready: Literal[True] = True


class ModelReady(BaseModel):
    """The head is loaded and can answer."""

    name: str
    ready: Literal[True] = True


class TensorMetadata(BaseModel):
    """An input or output of a head; -1 is the number of rows."""

    name: str
    datatype: Literal["FP32", "BYTES"]
    shape: list[int]
    parameters: dict[str, Any] | None = Field(
        default=None, description="For probabilities: classes, the names of the columns."
    )


class ModelMetadata(BaseModel):
    """The inputs and outputs of a head."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "pets",
                    "versions": ["1", "2", "3"],
                    "platform": "nmtune",
                    "inputs": [{"name": "embeddings", "datatype": "FP32", "shape": [-1, 768]}],
                    "outputs": [
                        {
                            "name": "probabilities",
                            "datatype": "FP32",
                            "shape": [-1, 2],
                            "parameters": {"classes": ["cat", "dog"]},
                        },
                        {"name": "labels", "datatype": "BYTES", "shape": [-1]},
                    ],
                }
            ]
        }
    )

    name: str
    versions: list[str]
    platform: Literal["nmtune"] = "nmtune"
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InferBody(BaseModel):
    """The JSON of an inference request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "42",
                    "inputs": [
                        {
                            "name": "embeddings",
                            "shape": [2, 3],
                            "datatype": "FP32",
                            "data": [0.9, 0.1, 0.2, 0.2, 0.8, 0.1],
                        }
                    ],
                    "outputs": [{"name": "labels"}],
                }
            ]
        }
    )

    id: str | None = None
    inputs: list[dict[str, Any]] = Field(
        description="One tensor, with name embeddings; shape [rows, columns]; datatype FP32, FP16 "
        "or FP64; and data, the numbers in one list or in rows, or binary_data_size in parameters, "
        "if bytes follow the JSON."
    )
    outputs: list[dict[str, Any]] | None = Field(
        default=None,
        description="By name: probabilities, labels; without names, all. In parameters, "
        "binary_data: as bytes after the JSON; classification: how many of the most probable "
        "classes to name instead of probabilities, each as probability:index:class.",
    )
    parameters: dict[str, Any] | None = Field(
        default=None,
        description="binary_data_output: all outputs as bytes after the JSON. class_shares: as at "
        "POST /predict, an object or its JSON.",
    )


class OutputTensor(BaseModel):
    """An output."""

    name: Literal["probabilities", "labels"]
    datatype: Literal["FP32", "BYTES"]
    shape: list[int]
    data: list[Any] | None = Field(default=None, description="Row after row.")
    parameters: dict[str, Any] | None = None


class InferAnswer(BaseModel):
    """The JSON of an answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model_name": "pets",
                    "model_version": "3",
                    "id": "42",
                    "outputs": [
                        {
                            "name": "labels",
                            "datatype": "BYTES",
                            "shape": [2],
                            "data": ["cat", "dog"],
                        }
                    ],
                }
            ]
        }
    )

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


EMBEDDED_BODY: Final[Mapping[str, Any]] = InferBody.model_json_schema()


def oip_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route under /v2 for these statuses."""
    return {
        status: {"model": OipError, "description": described["description"]}
        for status, described in problems(*statuses).items()
    }

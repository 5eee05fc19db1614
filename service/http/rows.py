"""The home of how embeddings, labels and splits look in a JSON body.

They are typed as plain values: `service.ingest` checks them with numpy and names the row, where
pydantic would take seconds on the event loop. What is here is for the documentation.
"""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

Embeddings = Annotated[
    Any,
    WithJsonSchema(
        {
            "title": "Embeddings",
            "description": "n rows of d numbers: a list of lists, or their little-endian bytes "
            "in base64 (six times smaller, and exact).",
            "oneOf": [
                {
                    "type": "array",
                    "items": {"type": "array", "items": {"type": "number"}, "minItems": 1},
                    "minItems": 1,
                },
                {
                    "type": "object",
                    "properties": {
                        "base64": {"type": "string", "contentEncoding": "base64"},
                        "shape": {
                            "type": "array",
                            "prefixItems": [
                                {"type": "integer", "minimum": 1},
                                {"type": "integer", "minimum": 1},
                            ],
                            "minItems": 2,
                            "maxItems": 2,
                        },
                        "dtype": {"enum": ["float32", "float16"]},
                    },
                    "required": ["base64", "shape", "dtype"],
                    "additionalProperties": False,
                },
            ],
        }
    ),
]
Labels = Annotated[
    Any,
    WithJsonSchema(
        {
            "title": "Labels",
            "description": "One class name a row: a string, a whole number or a Boolean, which "
            "are written out (1.0 as 1). null is a missing label, which is refused.",
            "type": "array",
            "items": {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]},
        }
    ),
]
Splits = Annotated[
    Any,
    WithJsonSchema(
        {
            "title": "Splits",
            "description": "One split name a row: train, validation (val, valid, dev), test or "
            "ood/<domain>, the domain in any script. Without it, a seeded stratified fifth of "
            "the rows becomes test and the rest train.",
            "type": "array",
            "items": {"type": "string", "examples": ["train", "test", "ood/sketch"]},
        }
    ),
]
MergeSimilar = Annotated[
    bool,
    Field(
        description="Make one of classes, and of domains, that differ in case, spaces or Unicode "
        "form alone. Without it a warning names them."
    ),
]

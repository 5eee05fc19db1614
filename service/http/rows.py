"""How embeddings, labels and splits look in a JSON body.

Their type is `Any` because `service.ingest` checks them with numpy and names the row, where
pydantic would take seconds on the event loop. The schemas here are for the documentation.
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
            "description": "One class name per row: a string, or a whole number or Boolean, "
            "which becomes its text (1.0 becomes 1). null is a missing label and refused.",
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
            "description": "One split name per row: train, validation (val, valid, dev), test or "
            "ood/<domain>, the domain in any script. Without splits, a seeded stratified fifth "
            "of the rows becomes test and the rest train.",
            "type": "array",
            "items": {"type": "string", "examples": ["train", "test", "ood/sketch"]},
        }
    ),
]
MergeSimilar = Annotated[
    bool,
    Field(
        description="Merge classes, and domains, that differ only in case, spaces or Unicode form. "
        "Otherwise a warning names them."
    ),
]

"""JSON shapes of local encoders, with one example each."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from store.embedding.local_encoders import LocalEncoderRow

EXAMPLE: dict[str, Any] = {
    "name": "my-minilm",
    "source": "added",
    "sha256": "8617757fb5c1e175d51ec792e24331ce1c952d44a54bdda72e4cebdd7f1025c7",
    "size_bytes": 91349504,
    "family": "bert",
    "n_columns": 384,
    "n_layers": 6,
    "n_parameters": 22565376,
    "max_tokens": 256,
    "pooling": "mean",
    "normalise": True,
    "prefix": "",
    "problem": None,
    "created_at": "2026-12-01T14:03:12.411000Z",
}


class LocalEncoder(BaseModel):
    """An encoder that runs in this server; use it as provider={name: local, model: its name}."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    name: str
    source: Literal["added", "operator", "package"] = Field(
        description="Who brought it: you (added), the operator's directory, or an installed "
        "package (local-minilm)."
    )
    sha256: str | None = Field(
        description="Of its files, wherever they are: equal for equal encoders. null if it is not "
        "computed (local-minilm), or the files cannot be used."
    )
    size_bytes: int | None
    family: str | None = Field(description="bert, roberta, xlm-roberta, mpnet or distilbert.")
    n_columns: int | None = Field(description="The width of its vectors.")
    n_layers: int | None
    n_parameters: int | None
    max_tokens: int | None = Field(description="Longer texts are cut, and counted.")
    pooling: str | None = Field(description="mean of a text's tokens, or the first token (cls).")
    normalise: bool | None = Field(description="Whether vectors are scaled to length 1.")
    prefix: str | None = Field(description="Put before each text.")
    problem: str | None = Field(
        description="Why it cannot be used, and what to do; null if it can be used."
    )
    created_at: datetime | None = Field(description="null unless you added it.")

    @classmethod
    def of_row(cls, row: LocalEncoderRow) -> "LocalEncoder":
        """One that the tenant added."""
        return cls.made(
            row.name,
            "added",
            row.description,
            sha256=row.sha256,
            size_bytes=row.size_bytes,
            created_at=row.created_at,
        )

    @classmethod
    def made(
        cls,
        name: str,
        source: Literal["added", "operator", "package"],
        description: dict[str, Any],
        **others: Any,
    ) -> "LocalEncoder":
        """One with what is known of it, and null for all else."""
        values = dict.fromkeys(cls.model_fields) | description | others
        return cls(**values | {"name": name, "source": source})


class LocalEncoders(BaseModel):
    """The encoders that run in this server."""

    items: list[LocalEncoder] = Field(description="Those that you added, by name.")
    provided: list[LocalEncoder] = Field(
        description="Those of everybody: local-minilm, and those of the operator's directory."
    )

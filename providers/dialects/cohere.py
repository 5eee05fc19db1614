"""Cohere's dialect, version 2."""

from collections.abc import Sequence
from typing import Any

from providers.encoder import Encoder
from providers.http.answers import tokens


class Cohere:
    """`POST /v2/embed`, with the intent that Cohere has for classification."""

    roots = ("",)
    endings = ("/v2/embed", "/v1/embed", "/v2")

    def path(self, encoder: Encoder) -> str:  # noqa: ARG002
        return "/v2/embed"

    def headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}

    def body(self, encoder: Encoder, texts: Sequence[str]) -> dict[str, Any]:
        width = {} if encoder.dimensions is None else {"output_dimension": encoder.dimensions}
        return {
            "model": encoder.model,
            "texts": list(texts),
            "input_type": "classification",
            "embedding_types": ["float"],
            "truncate": "NONE",  # refuse rather than cut silently
            **width,
        }

    def read(self, answer: Any, n_texts: int) -> tuple[Sequence[object], int | None]:  # noqa: ARG002
        meta = answer.get("meta")
        billed = meta.get("billed_units") if isinstance(meta, dict) else None
        return answer["embeddings"]["float"], tokens(billed, "input_tokens")

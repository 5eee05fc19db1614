"""Voyage's dialect: OpenAI's path with other names."""

from collections.abc import Sequence
from typing import Any

from providers.encoder import Encoder
from providers.http.answers import by_index, tokens


class Voyage:
    """`POST /embeddings`. Both its input types are for retrieval; without one it adds no prompt."""

    roots = ("/v1",)
    endings = ("/embeddings",)

    def path(self, encoder: Encoder) -> str:  # noqa: ARG002
        return "/embeddings"

    def headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}

    def body(self, encoder: Encoder, texts: Sequence[str]) -> dict[str, Any]:
        width = {} if encoder.dimensions is None else {"output_dimension": encoder.dimensions}
        # Without `truncation` it would cut silently.
        return {"model": encoder.model, "input": list(texts), "truncation": False, **width}

    def read(self, answer: Any, n_texts: int) -> tuple[Sequence[object], int | None]:
        return by_index(answer["data"], n_texts), tokens(answer.get("usage"), "total_tokens")

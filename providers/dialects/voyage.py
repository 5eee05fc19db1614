"""The home of Voyage's dialect: OpenAI's path, other names."""

from collections.abc import Sequence
from typing import Any

from providers.answers import by_index, tokens
from providers.encoder import Encoder


class Voyage:
    """`POST /embeddings`. Its two input types are for retrieval; without one it adds no prompt."""

    roots = ("/v1",)
    endings = ("/embeddings",)

    def path(self, encoder: Encoder) -> str:  # noqa: ARG002
        return "/embeddings"

    def headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}

    def body(self, encoder: Encoder, texts: Sequence[str]) -> dict[str, Any]:
        width = {} if encoder.dimensions is None else {"output_dimension": encoder.dimensions}
        # Without `truncation` it would cut in silence.
        return {"model": encoder.model, "input": list(texts), "truncation": False, **width}

    def read(self, answer: Any, n_texts: int) -> tuple[Sequence[object], int | None]:
        return by_index(answer["data"], n_texts), tokens(answer.get("usage"), "total_tokens")

"""The native dialect of Hugging Face's text-embeddings-inference."""

from collections.abc import Sequence
from typing import Any

from providers.encoder import Encoder


class TextEmbeddingsInference:
    """`POST /embed`. It can be told not to cut texts, and reports no token counts."""

    roots = ("",)
    endings = ("/embed", "/embed_all", "/v1/embeddings", "/embeddings")

    def path(self, encoder: Encoder) -> str:  # noqa: ARG002
        return "/embed"

    def headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}

    def body(self, encoder: Encoder, texts: Sequence[str]) -> dict[str, Any]:
        width = {} if encoder.dimensions is None else {"dimensions": encoder.dimensions}
        return {"inputs": list(texts), "normalize": True, "truncate": False, **width}

    def read(self, answer: Any, n_texts: int) -> tuple[Sequence[object], int | None]:  # noqa: ARG002
        if not isinstance(answer, list):
            raise TypeError
        return answer, None

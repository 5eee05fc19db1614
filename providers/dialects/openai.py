"""OpenAI's dialect, which most services speak with small differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from providers.encoder import Encoder
from providers.http.answers import by_index, tokens


@dataclass(frozen=True, kw_only=True)
class OpenAI:
    """`POST /embeddings`. Vectors come as numbers: many compatible servers cannot do base64."""

    dimensions: str = "dimensions"
    """The service's name for the width."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of each request, such as the intent."""
    key_header: str | None = None
    """The header that carries the key; None: `Authorization: Bearer`."""
    roots: Sequence[str] = ("/v1",)
    endings: Sequence[str] = (
        *("/embeddings", "/chat/completions", "/completions", "/responses", "/models"),
        *("/api/embed", "/api/embeddings", "/api/generate", "/api/chat", "/api/tags"),  # Ollama's
    )

    def path(self, encoder: Encoder) -> str:  # noqa: ARG002
        return "/embeddings"

    def headers(self, key: str) -> dict[str, str]:
        return {self.key_header: key} if self.key_header else {"Authorization": f"Bearer {key}"}

    def body(self, encoder: Encoder, texts: Sequence[str]) -> dict[str, Any]:
        width = {} if encoder.dimensions is None else {self.dimensions: encoder.dimensions}
        return {"model": encoder.model, "input": list(texts), **width, **self.extra}

    def read(self, answer: Any, n_texts: int) -> tuple[Sequence[object], int | None]:
        n_tokens = tokens(answer.get("usage"), "prompt_tokens", "total_tokens")
        return by_index(answer["data"], n_texts), n_tokens

"""Google Gemini's dialect."""

from collections.abc import Sequence
from typing import Any, Final

from providers.encoder import Encoder

_PREFIX: Final = "task: classification | query: "


class Gemini:
    """`POST /models/{model}:batchEmbedContents`.

    gemini-embedding-001 takes the intent in a field; later models take it in front of the text.
    """

    roots = ("/v1beta",)
    endings = ("/models",)

    def path(self, encoder: Encoder) -> str:
        return f"/models/{encoder.model}:batchEmbedContents"

    def headers(self, key: str) -> dict[str, str]:
        return {"x-goog-api-key": key}

    def body(self, encoder: Encoder, texts: Sequence[str]) -> dict[str, Any]:
        has_field = encoder.model.endswith("-001")
        prefix = "" if has_field else _PREFIX
        shared: dict[str, Any] = {"model": f"models/{encoder.model}"}
        if has_field:
            shared["taskType"] = "CLASSIFICATION"
        if encoder.dimensions is not None:
            shared["outputDimensionality"] = encoder.dimensions
        return {
            "requests": [
                {**shared, "content": {"parts": [{"text": prefix + text}]}} for text in texts
            ]
        }

    def read(self, answer: Any, n_texts: int) -> tuple[Sequence[object], int | None]:  # noqa: ARG002
        return [item["values"] for item in answer["embeddings"]], None

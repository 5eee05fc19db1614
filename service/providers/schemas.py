"""JSON shapes of providers and their keys, with one example each."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

Texts = Annotated[
    Any,
    WithJsonSchema(
        {
            "title": "Texts",
            "description": "n texts instead of embeddings; `provider` embeds them.",
            "type": "array",
            "items": {"type": "string"},
        }
    ),
]


class ProviderChoice(BaseModel):
    """What embeds texts."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "local-minilm"}]}
    )

    name: str = Field(
        max_length=64,
        description="openai, azure, mistral, jina, together, cohere, voyage, gemini, tei, vllm, "
        "infinity, ollama, lmstudio, openai-compatible, local-minilm or local (an encoder of "
        "GET /encoders).",
        examples=["openai"],
    )
    model: str | None = Field(
        default=None,
        max_length=200,
        description="The embedding model, as the provider names it; for azure the deployment, for "
        "local the encoder's name.",
        examples=["text-embedding-3-small"],
    )
    base_url: str | None = Field(
        default=None,
        max_length=500,
        description="The address of the service; by default the provider's own. The operator must "
        "have allowed any address that is not https on port 443.",
        examples=["https://gateway.example/v1"],
    )
    dimensions: int | None = Field(
        default=None, description="The width to ask for, if the model offers a choice."
    )
    price_per_million_tokens: float | None = Field(
        default=None,
        ge=0,
        le=1e6,
        description="What you pay, in any currency; the job then reports its cost.",
        examples=[0.02],
    )


class ProviderKey(BaseModel):
    """A key for a provider. It is stored encrypted, and no answer ever shows it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"origin": "openai", "key": "sk-your-key"}]},
    )

    origin: str = Field(
        max_length=300,
        description="The only origin that the key is sent to, https://host; the name of a provider "
        "stands for its origin.",
    )
    key: str = Field(max_length=512, description="Printable ASCII without spaces.")


class KnownKey(BaseModel):
    """An origin that has a key."""

    origin: str
    created_at: datetime


class KnownKeys(BaseModel):
    """The origins for which keys are stored."""

    items: list[KnownKey]

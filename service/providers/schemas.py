"""JSON shapes of providers and their keys, with one example each."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from providers.catalogue import MAX_DIMENSIONS
from service.http.validation import ID_PATTERN

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


Model = Annotated[
    str | None,
    Field(
        max_length=200,
        description="The embedding model, as the provider names it; for azure the deployment, for "
        "local the encoder's name.",
        examples=["text-embedding-3-small"],
    ),
]
BaseUrl = Annotated[
    str | None,
    Field(
        max_length=500,
        description="The address of the service; by default the provider's own. The operator must "
        "have allowed any address that is not https on port 443.",
        examples=["https://gateway.example/v1"],
    ),
]
Dimensions = Annotated[
    int | None, Field(description="The width to ask for, if the model offers a choice.")
]
TruncateDim = Annotated[
    int | None,
    Field(
        ge=1,
        le=MAX_DIMENSIONS,
        description="Keep only the first so many numbers of each vector, scaled to length 1: for "
        "models trained so (Matryoshka). Unlike dimensions, this asks the provider for whole "
        "vectors, so that texts embedded before are known at every width.",
    ),
]
Price = Annotated[
    float | None,
    Field(
        ge=0,
        le=1e6,
        description="What you pay, in any currency; the job then reports its cost.",
        examples=[0.02],
    ),
]
_NAMES: Final = (
    "openai, azure, mistral, jina, together, cohere, voyage, gemini, tei, vllm, infinity, ollama, "
    "lmstudio, openai-compatible, local-minilm or local (an encoder of GET /encoders)."
)


class EncoderChoice(BaseModel):
    """One of the encoders that a job compares: a provider, or embeddings that you made."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "local-minilm"}]}
    )

    name: str | None = Field(
        default=None, max_length=64, description=f"The provider: {_NAMES}", examples=["openai"]
    )
    model: Model = None
    base_url: BaseUrl = None
    dimensions: Dimensions = None
    truncate_dim: TruncateDim = None
    price_per_million_tokens: Price = None
    dataset_id: str | None = Field(
        default=None,
        pattern=ID_PATTERN,
        description="In place of a provider: a dataset of embeddings, with the same rows as those "
        "of the other encoders.",
    )


class ProviderChoice(BaseModel):
    """What embeds texts."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "local-minilm"}]}
    )

    name: str = Field(max_length=64, description=_NAMES, examples=["openai"])
    model: Model = None
    base_url: BaseUrl = None
    dimensions: Dimensions = None
    truncate_dim: TruncateDim = None
    price_per_million_tokens: Price = None


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

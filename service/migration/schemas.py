"""JSON shapes of taking a head to another encoder."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.heads.notes import Description, Tags
from service.http.fields import Name
from service.http.validation import ID_PATTERN
from service.jobs.embedding_cost import PlannedEmbedding
from service.providers.schemas import ProviderChoice


class MigrateRequest(BaseModel):
    """A version, the encoder that it goes to, and by which way."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "version": "prod",
                    "provider": {"name": "openai", "model": "text-embedding-3-small"},
                }
            ]
        },
    )

    version: Name = Field(
        default="latest",
        description="The version to start from: a number, an alias or latest.",
        examples=["prod"],
    )
    provider: ProviderChoice = Field(description="The encoder to go to.")
    bridge: str | None = Field(
        default=None,
        pattern=ID_PATTERN,
        description="A stored dataset of texts, with or without labels, that both encoders embed. "
        "Left out, the head's own texts are embedded anew and the head is trained anew: they must "
        "still be kept.",
    )
    force: bool = Field(
        default=False,
        description="With a bridge: publish even if moved and old head agree on less than 90 % of "
        "the held-out texts.",
    )
    description: Description | None = Field(
        default=None, description="A note for people about the new version."
    )
    tags: Tags = Field(default_factory=dict, description="Tags of the new version.")
    queue: Literal["cpu", "gpu"] | None = Field(
        default=None, description="Which workers do it; by default the service's choice."
    )
    priority: int = Field(
        default=0, ge=-100, le=100, description="Jobs of a higher priority are taken first."
    )


class MigrationPlan(BaseModel):
    """What a migration would do, and what its embeddings would cost."""

    way: Literal["refit", "bridge"]
    from_version: int
    dataset_id: str = Field(description="The head's own texts, or the bridge.")
    embedding: PlannedEmbedding = Field(description="By the new encoder.")
    old_embedding: PlannedEmbedding | None = Field(
        description="Of a bridge: by the encoder that the head leaves; null for a refit."
    )
    notes: list[str] = Field(description="What the new version will not have of the old one.")

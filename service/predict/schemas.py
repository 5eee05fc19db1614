"""JSON shapes of predictions, with one example each."""

from pydantic import BaseModel, ConfigDict, Field

from service.http.fields import MAX_REFERENCE_CHARACTERS, REFERENCE
from service.http.rows import Embeddings
from service.ingest.names.value_name import MAX_TEXT_CHARACTERS
from service.predict.options import PredictionOptions
from service.providers.schemas import Texts


class PredictQuery(PredictionOptions):
    """One embedding or text, the head to ask, and what to answer."""

    head: str = Field(
        max_length=MAX_REFERENCE_CHARACTERS,
        description=f"Which head: {REFERENCE}",
        examples=["pets@prod"],
    )
    embedding: str | None = Field(
        default=None,
        description="The numbers of one embedding, separated by commas; brackets are allowed.",
        examples=["0.9,0.1,0.2"],
    )
    text: str | None = Field(
        default=None,
        max_length=MAX_TEXT_CHARACTERS,
        description="A text, for heads trained on texts; the head's provider embeds it.",
        examples=["where is my parcel?"],
    )


class PredictRequest(PredictionOptions):
    """Embeddings, or texts for a head trained on texts, the head to ask, and what to answer."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"head": "pets@prod", "embeddings": [[0.9, 0.1, 0.2], [0.2, 0.8, 0.1]]}]
        },
    )

    head: str = Field(max_length=MAX_REFERENCE_CHARACTERS, description=f"Which head: {REFERENCE}")
    embeddings: Embeddings = None
    texts: Texts = None
    encoder: str | None = Field(
        default=None,
        max_length=64,
        description="The fingerprint of the encoder that made the embeddings; a head that was "
        "trained with another encoder refuses them.",
    )


class PredictHead(BaseModel):
    """The head version that answered."""

    name: str
    version: int
    reference: str = Field(description="The reference as sent.")


class OodScore(BaseModel):
    """How far the row is from the training rows: about 1 for rows like them."""

    score: float
    threshold: float = Field(description="95 % of rows like the training rows score at most this.")
    is_ood: bool = Field(description="Whether the score is above the threshold.")


class OodScores(BaseModel):
    """How far each row is from the training rows: about 1 for rows like them."""

    scores: list[float]
    threshold: float = Field(description="95 % of rows like the training rows score at most this.")
    is_ood: list[bool] = Field(description="Whether each score is above the threshold.")


class Prediction(BaseModel):
    """The answer for one embedding, with only what was asked for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "head": {"name": "pets", "version": 3, "reference": "pets@prod"},
                    "label": "cat",
                    "probability": 0.98,
                    "probabilities": {"cat": 0.98, "dog": 0.02},
                }
            ]
        }
    )

    head: PredictHead
    label: str | None = Field(default=None, description="null below abstain_below.")
    probability: float | None = Field(default=None, description="That of the most probable class.")
    probabilities: dict[str, float] | None = Field(
        default=None,
        description="Of every class, in the head's order; with top_k of the best, best first.",
    )
    logits: dict[str, float] | None = Field(
        default=None, description="In the same order as probabilities."
    )
    embedding: list[float] | None = Field(default=None, description="The tuned embedding.")
    conformal_level: float | None = Field(
        default=None,
        description="The level of the set: the one asked for, or the next that the head has.",
    )
    set: list[str] | None = Field(
        default=None, description="With conformal_level: the classes, the most probable first."
    )
    ood: OodScore | None = None


class Predictions(BaseModel):
    """The answers for several embeddings, with only what was asked for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "head": {"name": "pets", "version": 3, "reference": "pets@prod"},
                    "classes": ["cat", "dog"],
                    "labels": ["cat", "dog"],
                    "probabilities": [[0.98, 0.02], [0.11, 0.89]],
                }
            ]
        }
    )

    head: PredictHead
    classes: list[str] | None = Field(
        default=None, description="The columns of probabilities and logits."
    )
    labels: list[str | None] | None = Field(
        default=None, description="The most probable class of each row; null below abstain_below."
    )
    probabilities: list[list[float]] | None = None
    logits: list[list[float]] | None = Field(
        default=None, description="Before division by the head's temperature."
    )
    embeddings: list[list[float]] | None = Field(default=None, description="The tuned embeddings.")
    top_labels: list[list[str]] | None = Field(
        default=None, description="With top_k: the most probable classes of each row, best first."
    )
    top_probabilities: list[list[float]] | None = Field(
        default=None, description="The probabilities of top_labels."
    )
    top_logits: list[list[float]] | None = Field(
        default=None, description="The logits of top_labels."
    )
    conformal_level: float | None = Field(
        default=None,
        description="The level of the sets: the one asked for, or the next that the head has.",
    )
    sets: list[list[str]] | None = Field(
        default=None, description="With conformal_level: each row's classes, most probable first."
    )
    ood: OodScores | None = None

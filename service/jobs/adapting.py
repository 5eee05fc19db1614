"""POST /jobs with paradigm `lora`: what it may ask for, and what it would take."""

from nmtune.encoder.candidates import ANALYSES, LoraCandidates, resolve_lora
from nmtune.vocabulary import FULL_FINETUNING
from providers.encoder import Encoder
from providers.local import minilm
from providers.local import provider as local
from service.http.errors import Problem
from service.jobs.schemas import JobCreate
from store import datasets

LORA_KEY = "lora"
"""Where a job's config has its adapted candidates."""

_OPENED = (minilm.NAME, local.NAME)
"""The providers whose encoders run here, so that they can be adapted."""


def lora_of(body: JobCreate) -> LoraCandidates | None:
    """The adapted candidates that the body asks for; None for paradigm `black_box`.

    Raises ConfigError, Problem.
    """
    if body.paradigm != "lora":
        if FULL_FINETUNING in body.analyses:
            raise _refused(
                "analyses",
                f"{FULL_FINETUNING} needs paradigm lora: ask for that, or leave it out.",
            )
        return None
    if body.method != "auto":
        raise _refused(
            "method",
            "method must be auto for paradigm lora, which chooses between auto's head on frozen "
            "embeddings and the adapted encoder.",
        )
    if body.encoders:
        raise _refused(
            "encoders",
            "Encoders are compared by heads on frozen embeddings: leave out encoders, or paradigm "
            "lora.",
        )
    for name in body.analyses:
        if name not in ANALYSES:
            raise _refused(
                "analyses",
                f"{name} is not an analysis of paradigm lora, which has {', '.join(ANALYSES)}.",
            )
    return resolve_lora(body.config, analyses=body.analyses)


def _refused(field: str, message: str) -> Problem:
    return Problem(422, "invalid_request", message, field=field)


def check_opened(encoder: Encoder | None, lora: LoraCandidates | None) -> None:
    """Raise Problem unless the encoder is one that can be adapted."""
    if lora is None or encoder is None:
        return
    if encoder.truncate_dim is not None:
        raise _refused(
            "provider.truncate_dim", "An encoder is adapted with whole vectors: leave it out."
        )
    if encoder.provider not in _OPENED:
        raise Problem(
            422,
            "encoder_closed",
            f"The encoder of {encoder.provider} runs elsewhere, so it cannot be adapted. Paradigm "
            f"lora takes an encoder that runs here: {', '.join(_OPENED)}.",
            field="provider.name",
        )


def check_texts(content: str, lora: LoraCandidates | None) -> None:
    """Raise Problem for rows that are embeddings: they have no encoder to adapt."""
    if lora is not None and content != datasets.TEXTS:
        raise Problem(
            422,
            "texts_required",
            "Paradigm lora adapts an encoder to texts, but these rows are embeddings. Send the "
            "texts, or leave out paradigm.",
            field="paradigm",
        )

"""The embeddings of a text job, by its row: whether they exist, where, and warnings about them.

`embedding` does the work, and is imported with the first job that needs it.
"""

import logging
from dataclasses import dataclass
from typing import Final

from store.errors import ArtifactCorrupt, ArtifactMissing
from store.jobs import Job
from store.states import JobKind
from store.store import Store

logger = logging.getLogger(__name__)

EMBEDDINGS: Final = "embeddings.safetensors"
"""The name of the finished dataset file in the job's checkpoint."""
OLD_EMBEDDINGS: Final = "old_embeddings.safetensors"
"""The same of a bridge, by the encoder that the head leaves."""
COMPARED: Final = 0.7
"""The share of an encoder comparison in its job's progress: half of it embeds, half of it trains.
What comes after it is like another job."""
SHARE: Final = 0.5
"""The embedding's share of the progress; the time of the training is not known before."""


@dataclass(frozen=True)
class Span:
    """A part of a job's progress, in fractions of it."""

    begin: float
    end: float

    def of(self, fraction: float) -> float:
        """The job's progress when this fraction of the part is done."""
        return round(self.begin + (self.end - self.begin) * fraction, 4)

    def part(self, begin: float, end: float) -> "Span":
        """A part of this part."""
        length = self.end - self.begin
        return Span(self.begin + length * begin, self.begin + length * end)


def _own_span(job: Job) -> Span:
    """What is left for the job's own encoder once it is chosen."""
    return Span(0.0, 1.0) if job.encoders is None else Span(COMPARED, 1.0)


def embedding_span(job: Job) -> Span:
    """The part in which the job's texts are embedded."""
    return _own_span(job).part(0.0, SHARE)


def training_span(job: Job) -> Span:
    """The part in which the job's child works."""
    own = _own_span(job)
    return own if job.encoder is None else own.part(SHARE, 1.0)


def needs_embedding(job: Job, store: Store) -> bool:
    """Whether the job's texts are not embedded yet, or the embeddings are lost or damaged.

    Paid vectors are in the database, so that making the file again costs nothing.
    """
    return job.encoder is not None and not _is_there(EMBEDDINGS, job, store)


def needs_old_embedding(job: Job, store: Store) -> bool:
    """The same of a bridge and the encoder that the head leaves."""
    return job.kind is JobKind.MIGRATION and not _is_there(OLD_EMBEDDINGS, job, store)


def _is_there(name: str, job: Job, store: Store) -> bool:
    sha256 = job.checkpoint.get(name)
    if sha256 is None:
        return False
    try:
        store.artifacts.open_path(job.tenant_id, sha256)
    except (ArtifactMissing, ArtifactCorrupt) as error:
        logger.warning("embedding.unusable job_id=%s reason=%s", job.id, error)
        return False
    return True


def warnings(job: Job) -> list[dict[str, str]]:
    """The warnings about the embedding, for the report."""
    usage = (job.encoder or {}).get("usage", {})
    found = []
    if n_truncated := usage.get("n_truncated"):
        found.append(
            {
                "code": "texts_truncated",
                "message": f"{n_truncated:,} texts were too long for the encoder, which only read "
                "their beginnings. Shorten them to the part that matters.",
            }
        )
    if n_long := usage.get("n_maybe_truncated"):
        found.append(
            {
                "code": "texts_maybe_truncated",
                "message": f"{n_long:,} texts may be too long for the encoder. This provider cuts "
                "texts silently, so we cannot tell.",
            }
        )
    return found

"""The embeddings of a text job, by its row: whether they exist, where, and warnings about them.

`embedding` does the work, and is imported with the first job that needs it.
"""

import logging
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
OF_TEXTS: Final = frozenset({EMBEDDINGS, OLD_EMBEDDINGS})
"""The files of the checkpoint that are read where they are stored."""
SHARE: Final = 0.5
"""The embedding's share of the job's progress; the time of the training is not known before."""


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

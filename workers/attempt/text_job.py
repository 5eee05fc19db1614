"""What a text job's row says of its embeddings: whether they are made, where, what to warn of.

The work itself is `embedding`, which is imported with the first job that needs it.
"""

import logging
from typing import Final

from store.errors import ArtifactCorrupt, ArtifactMissing
from store.jobs import Job
from store.store import Store

logger = logging.getLogger(__name__)

EMBEDDINGS: Final = "embeddings.safetensors"
"""The job's checkpoint names the finished dataset file so."""
SHARE: Final = 0.5
"""The embedding's part of the whole job's progress; how long training takes is not known before."""


def needs_embedding(job: Job, store: Store) -> bool:
    """Whether the job's texts are yet to be embedded, or its embeddings were lost or damaged.

    What was paid for is in the database, so that making the file again costs nothing.
    """
    if job.encoder is None:
        return False
    sha256 = job.checkpoint.get(EMBEDDINGS)
    if sha256 is None:
        return True
    try:
        store.artifacts.open_path(job.tenant_id, sha256)
    except (ArtifactMissing, ArtifactCorrupt) as error:
        logger.warning("embedding.unusable job_id=%s reason=%s", job.id, error)
        return True
    return False


def warnings(job: Job) -> list[dict[str, str]]:
    """What the embedding gives reason to warn of."""
    usage = (job.encoder or {}).get("usage", {})
    found = []
    if n_truncated := usage.get("n_truncated"):
        found.append(
            {
                "code": "texts_truncated",
                "message": f"{n_truncated:,} texts were too long for the encoder, which read "
                "their beginnings only. Shorten them to what matters.",
            }
        )
    if n_long := usage.get("n_maybe_truncated"):
        found.append(
            {
                "code": "texts_maybe_truncated",
                "message": f"{n_long:,} texts may be too long for the encoder. This provider cuts "
                "in silence, so that it cannot be told.",
            }
        )
    return found

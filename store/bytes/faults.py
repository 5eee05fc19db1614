"""The errors of stored bytes that are damaged or missing."""

import logging

from store.errors import ArtifactCorrupt, ArtifactMissing

log = logging.getLogger(__name__)


def missing(sha256: str) -> ArtifactMissing:
    """The error of missing bytes."""
    return ArtifactMissing(
        f"The stored bytes {sha256[:12]} are missing. Restore the artifacts from a backup, or "
        "upload or train again."
    )


def corrupt(place: object, sha256: str) -> ArtifactCorrupt:
    """Log and return the error of bytes at `place`, a path or key, that do not have their hash."""
    log.error("artifact.corrupt place=%s", place)
    return ArtifactCorrupt(
        f"The stored bytes {sha256[:12]} are damaged. Restore the artifacts from a backup, or "
        "upload or train again."
    )

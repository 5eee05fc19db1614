"""What is said of stored bytes that are damaged or gone."""

import logging

from store.errors import ArtifactCorrupt, ArtifactMissing

log = logging.getLogger(__name__)


def missing(sha256: str) -> ArtifactMissing:
    """The error of bytes that are not there."""
    return ArtifactMissing(
        f"The stored bytes {sha256[:12]} are gone: restore the artifacts from a backup, or upload "
        "or train again."
    )


def corrupt(place: object, sha256: str) -> ArtifactCorrupt:
    """The error of bytes at `place`, a path or a key, that are not what their hash says; logged."""
    log.error("artifact.corrupt place=%s", place)
    return ArtifactCorrupt(
        f"The stored bytes {sha256[:12]} are damaged: restore the artifacts from a backup, or "
        "upload or train again."
    )

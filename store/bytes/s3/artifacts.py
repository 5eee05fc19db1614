"""Bytes in a bucket of an S3-compatible storage; the port is in `store.bytes.port`.

How putting and collecting garbage keep out of each other's way
---------------------------------------------------------------
S3 has no "delete this unless somebody has put it again": the condition of a deletion, the ETag, is
the same for the same bytes. So a collection announces itself. It writes a mark, reads when the
object was last put, removes it if that is long ago, and removes the mark. A put of bytes that were
there before puts them again, waits until there is no mark, and then checks that the bytes are
there; if not, it repeats this. One of the two always sees the other: bytes put before the
collection looked are young and stay; bytes put after it looked, so after its mark, do not count as
there until the mark is gone. This relies on S3's strong consistency. Bytes under a new key need no
such care: no collection can have found them old.

A mark is made "only if there is none", so one collection holds it at a time. Its deletion is sent
only once, and only if the decision was quick; if the outcome is unknown the mark stays until it is
older than any request under way can be.
"""

import hashlib
import logging
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from store.bytes.cache import ArtifactCache
from store.bytes.checked_file import CheckedFile
from store.bytes.faults import corrupt, missing
from store.bytes.port import ArtifactRef, StoredArtifact
from store.bytes.s3.bucket import PART_BYTES, Bucket, ObjectMissing
from store.bytes.s3.client import Patience, connect, sign_in
from store.errors import StorageUnavailable
from store.names import check_name, is_name
from store.settings import StoreSettings, split_artifacts_url
from store.trouble import of_os_error

log = logging.getLogger(__name__)

_PATIENCE: Final = Patience()
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_DECISION_SECONDS: Final = 10.0  # the longest time from a mark to its deletion
_MARK_SECONDS: Final = 60.0  # an older mark is that of a dead collection
_TICK: Final = timedelta(seconds=1)  # the storage truncates its times to seconds
_N_READS: Final = 2  # bytes may be damaged on the way only
_N_PUTS: Final = 5


class S3Artifacts:
    """Bytes as objects `<prefix>/<tenant>/<sha256>`, and some of them as files on this machine."""

    def __init__(self, bucket: Bucket, once: Bucket, *, prefix: str, cache: ArtifactCache) -> None:
        """`once` is the same bucket through a client that never repeats a request."""
        self._bucket = bucket
        self._once = once
        self._prefix = f"{prefix}/" if prefix else ""
        # No tenant can have these names: the naming rule forbids a leading dot.
        self._marks = f"{self._prefix}.collecting/"
        self._probe = f"{self._prefix}.check"
        self._is_conditional = False
        self._cache = cache

    @classmethod
    def open(
        cls,
        settings: StoreSettings,
        *,
        patience: Patience = _PATIENCE,
        part_bytes: int = PART_BYTES,
    ) -> "S3Artifacts":
        """The bucket that the settings name; nothing is sent yet.

        Raises ValueError without a bucket, StorageUnavailable if the cache's folder cannot be made.
        """
        if settings.artifacts_url is None:
            raise ValueError("artifacts_url must name a bucket")
        name, prefix = split_artifacts_url(settings.artifacts_url)

        session = sign_in(
            region=settings.s3_region,
            access_key_id=settings.s3_access_key_id,
            secret_access_key=settings.s3_secret_access_key,
        )

        def bucket(patience: Patience) -> Bucket:
            client = connect(session, endpoint_url=settings.s3_endpoint_url, patience=patience)
            return Bucket(client, name, patience, part_bytes=part_bytes)

        return cls(
            bucket(patience),
            bucket(replace(patience, answer_seconds=patience.answer_seconds / 3, n_tries=1)),
            prefix=prefix,
            cache=ArtifactCache(
                settings.artifacts_cache_dir, max_bytes=settings.artifacts_cache_bytes
            ),
        )

    def put_bytes(self, tenant_id: str, data: bytes) -> ArtifactRef:
        """Store bytes; see `Artifacts.put_bytes`."""
        ref = ArtifactRef(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
        self._put(tenant_id, ref, BytesIO(data))
        return ref

    def put_file(self, tenant_id: str, path: Path) -> ArtifactRef:
        """Store a file and remove it; a large one is sent in parts, from the disk."""
        with path.open("rb") as source:
            try:
                sha256 = hashlib.file_digest(source, "sha256").hexdigest()
                ref = ArtifactRef(sha256=sha256, size_bytes=source.tell())
                self._put(tenant_id, ref, source)
                path.unlink(missing_ok=True)
            except OSError as error:
                log.error("artifact.unavailable action=write error=%s", error)
                raise of_os_error(error, "The artifact storage cannot write now") from error
        return ref

    def get_bytes(self, tenant_id: str, sha256: str) -> bytes:
        """The bytes; see `Artifacts.get_bytes`."""
        key = self._key(tenant_id, sha256)
        for _ in range(_N_READS):
            try:
                data = b"".join(self._bucket.read(key))
            except ObjectMissing as error:
                raise missing(sha256) from error
            if hashlib.sha256(data).hexdigest() == sha256:
                return data
        raise corrupt(key, sha256)

    def open_path(self, tenant_id: str, sha256: str) -> Path:
        """A file of the cache; see `Artifacts.open_path` and `ArtifactCache`."""
        key = self._key(tenant_id, sha256)
        kept = self._cache.find(tenant_id, sha256)
        if kept is not None:
            # The object may have been deleted, maybe by another machine.
            if self._bucket.find(key) is not None:
                return kept
            self._cache.discard(tenant_id, sha256)
        for _ in range(_N_READS):
            try:
                path = self._cache.add(tenant_id, sha256, self._bucket.read(key))
            except ObjectMissing as error:
                raise missing(sha256) from error
            if path is not None:
                return path
        raise corrupt(key, sha256)

    def open_checked(
        self, tenant_id: str, sha256: str, *, start: int = 0, stop: int | None = None
    ) -> CheckedFile:
        """A file of the cache; see `Artifacts.open_checked`."""
        key = self._key(tenant_id, sha256)
        kept = self._cache.find_checked(tenant_id, sha256, start=start, stop=stop)
        if kept is not None:
            if self._bucket.find(key) is not None:
                return kept
            kept.close()
            self._cache.discard(tenant_id, sha256)
        self.open_path(tenant_id, sha256)
        kept = self._cache.find_checked(tenant_id, sha256, start=start, stop=stop)
        if kept is None:
            raise StorageUnavailable("A file was removed from the artifact cache. Try again.")
        return kept

    def copy_to(self, tenant_id: str, sha256: str, path: Path) -> None:
        """Download the object without caching it; see `Artifacts.copy_to`."""
        key = self._key(tenant_id, sha256)
        for _ in range(_N_READS):
            digest = hashlib.sha256()
            try:
                with path.open("xb") as copy:
                    for chunk in self._bucket.read(key):
                        digest.update(chunk)
                        copy.write(chunk)
            except ObjectMissing as error:
                path.unlink()
                raise missing(sha256) from error
            if digest.hexdigest() == sha256:
                return
            path.unlink()
        raise corrupt(key, sha256)

    def exists(self, tenant_id: str, sha256: str) -> bool:
        """Whether the object is there."""
        return self._bucket.find(self._key(tenant_id, sha256)) is not None

    def delete(
        self, tenant_id: str, sha256: str, *, unless_put_after: datetime | None = None
    ) -> bool:
        """Remove the object and its cached file; see `Artifacts.delete`."""
        key = self._key(tenant_id, sha256)
        if unless_put_after is not None:
            is_removed = self._collect(key, self._mark(tenant_id, sha256), unless_put_after)
        else:
            is_removed = self._bucket.find(key) is not None
            self._bucket.delete(key)
        if is_removed:
            self._cache.discard(tenant_id, sha256)
        return is_removed

    def stored(self, tenant_id: str | None = None) -> Iterator[StoredArtifact]:
        """All objects that are artifacts, of a tenant or of all, by key."""
        mine = "" if tenant_id is None else f"{check_name('tenant', tenant_id)}/"
        for found in self._bucket.list(self._prefix + mine):
            owner, _, sha256 = found.key.removeprefix(self._prefix).partition("/")
            if is_name(owner) and _SHA256.fullmatch(sha256):
                yield StoredArtifact(
                    tenant_id=owner,
                    sha256=sha256,
                    size_bytes=found.size_bytes,
                    put_at=found.put_at,
                )

    def remove_leftovers(self, *, older_than_seconds: float) -> int:
        """Remove the parts of broken uploads and the marks of dead collections."""
        n_removed = self._bucket.abort_uploads(self._prefix, older_than_seconds=older_than_seconds)
        for found in list(self._bucket.list(self._marks)):
            if found.age_seconds >= max(older_than_seconds, _MARK_SECONDS):
                self._bucket.delete(found.key)
                n_removed += 1
        return n_removed

    def check(self) -> None:
        """Write a few bytes, which stay; see `Artifacts.check`.

        The first call also tries a conditional write, which not every storage supports.
        """
        self._write(self._once, self._probe, only_if_missing=False)
        if not self._is_conditional:
            if self._write(self._once, self._probe, only_if_missing=True):
                log.error("artifact.unconditional key=%s", self._probe)
                raise StorageUnavailable(
                    "The artifact storage does not support conditional writes (If-None-Match), "
                    "which NMTune needs: see docs/run/object-storage.md."
                )
            self._is_conditional = True

    def _put(self, tenant_id: str, ref: ArtifactRef, source: BinaryIO) -> None:
        key, mark = self._key(tenant_id, ref.sha256), self._mark(tenant_id, ref.sha256)
        size_bytes, sha256 = ref.size_bytes, ref.sha256
        if self._bucket.put(
            key, source, size_bytes=size_bytes, sha256=sha256, only_if_missing=True
        ):
            return
        # It was there before. Putting the same bytes again makes them young and repairs damage.
        for _ in range(_N_PUTS):
            self._bucket.put(key, source, size_bytes=size_bytes, sha256=sha256)
            self._wait_for_collection(mark)
            if self._bucket.find(key) is not None:
                return
        raise StorageUnavailable(
            "The artifact storage cannot write now: stored bytes are removed again at once. See "
            "the server's log."
        )

    def _wait_for_collection(self, mark: str) -> None:
        """Return once no collection holds this mark."""
        pause = 0.05
        while (found := self._bucket.find(mark)) is not None:
            if found.age_seconds > _MARK_SECONDS:
                log.warning("artifact.mark_of_dead_collection key=%s", mark)
                self._bucket.delete(mark)
                return
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    def _collect(self, key: str, mark: str, unless_put_after: datetime) -> bool:
        """Remove the object unless it was put after that moment; see the top of this module."""
        began = time.monotonic()
        if not self._write(self._bucket, mark, only_if_missing=True):
            return False  # another collection has it, or died with it: the next one decides
        found = self._bucket.find(key)
        is_old = found is not None and found.put_at + _TICK <= unless_put_after
        is_removed = is_old and time.monotonic() - began < _DECISION_SECONDS
        if is_removed:
            self._once.delete(key)
        self._bucket.delete(mark)
        return is_removed

    def _write(self, bucket: Bucket, key: str, *, only_if_missing: bool) -> bool:
        data = datetime.now(UTC).isoformat().encode()
        sha256 = hashlib.sha256(data).hexdigest()
        return bucket.put(
            key,
            BytesIO(data),
            size_bytes=len(data),
            sha256=sha256,
            only_if_missing=only_if_missing,
        )

    def _key(self, tenant_id: str, sha256: str) -> str:
        check_name("tenant", tenant_id)
        if _SHA256.fullmatch(sha256) is None:
            raise ValueError("a sha256 is 64 lower-case hexadecimal digits")
        return f"{self._prefix}{tenant_id}/{sha256}"

    def _mark(self, tenant_id: str, sha256: str) -> str:
        return f"{self._marks}{tenant_id}/{sha256}"

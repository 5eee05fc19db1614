"""Take in a resumable upload part by part, and put the parts together at the end.

Each part is an artifact before a row names it (law 3), so a process may die at any line: what a row
names is there, and another replica takes the next part.
"""

import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from anyio import CancelScope, to_thread
from starlette.requests import ClientDisconnect

from service.http.errors import Problem
from service.ingest.disk import room_needed
from service.ingest.received import Received
from service.settings import ServiceSettings
from service.uploads import tus
from service.uploads.tus import Checksum
from store import failpoints, uploads
from store.errors import ArtifactMissing, StoreError
from store.store import Store
from store.uploads import SALT_BYTES, Upload

_BATCH_BYTES: Final = 1 << 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PartStore:
    """Where parts are stored, and how large one may be."""

    store: Store
    workdir: Path
    part_bytes: int
    keep_seconds: float

    @classmethod
    def of(cls, store: Store, workdir: Path, settings: ServiceSettings) -> "PartStore":
        """The part store that the settings describe."""
        return cls(
            store=store,
            workdir=workdir,
            part_bytes=settings.upload_part_bytes,
            keep_seconds=settings.upload_keep_seconds,
        )


async def receive(
    chunks: AsyncIterator[bytes],
    upload: Upload,
    part_store: PartStore,
    *,
    checksum: Checksum | None,
) -> Upload:
    """Take in the next bytes of the upload; returns the upload afterwards.

    They are stored in parts of `part_bytes`, each as soon as it is whole, and the beginning of the
    last one even if the sender leaves or is too slow. With a `checksum` they are one part, stored
    whole or not at all. Raises Problem, and what `uploads.add_part` raises.
    """
    taking = _Taking(upload, part_store, checksum)
    try:
        async for chunk in chunks:
            await taking.take(chunk)
    except (ClientDisconnect, Problem):
        with CancelScope(shield=True):
            await taking.save_rest()
        raise
    return await taking.finish()


class _Taking:
    """The bytes of one request on their way into parts."""

    def __init__(self, upload: Upload, part_store: PartStore, checksum: Checksum | None) -> None:
        self._upload = upload
        self._part_store = part_store
        self._checksum = checksum
        self._digest = None if checksum is None else checksum.new()
        self._batch = bytearray()
        self._path = part_store.workdir / "part"
        self._n_bytes = 0  # of the part in the file

    async def take(self, chunk: bytes) -> None:
        """The next bytes."""
        n_waiting = self._n_bytes + len(self._batch)
        if self._upload.received_bytes + n_waiting + len(chunk) > self._upload.size_bytes:
            raise Problem(
                413,
                "upload_too_long",
                f"The upload was announced with {self._upload.size_bytes:,} bytes, but more came. "
                "If the file has grown, begin another upload.",
                headers={"Connection": "close"},
            )
        if self._checksum is not None and n_waiting + len(chunk) > self._part_store.part_bytes:
            raise Problem(
                413,
                "part_too_large",
                f"A part with a checksum may have at most {self._part_store.part_bytes:,} bytes: "
                "send smaller parts, or leave out Upload-Checksum.",
                headers={"Connection": "close"},
            )
        self._batch += chunk
        if len(self._batch) >= min(_BATCH_BYTES, self._part_store.part_bytes - self._n_bytes):
            await to_thread.run_sync(self._write)

    async def finish(self) -> Upload:
        """Store the rest; returns the upload afterwards."""
        await to_thread.run_sync(self._finish)
        return self._upload

    async def save_rest(self) -> None:
        """Store the beginning of a part that cannot be finished, unless it has a checksum."""
        if self._checksum is not None:
            return
        try:
            await to_thread.run_sync(self._finish)
        except StoreError as error:  # the request ends with another error
            logger.info("upload.rest_lost upload_id=%s reason=%s", self._upload.id, error)

    def _finish(self) -> None:
        self._write()
        expected = None if self._checksum is None else self._checksum.digest
        if self._digest is not None and self._digest.digest() != expected:
            raise Problem(
                tus.CHECKSUM_MISMATCH,
                "checksum_mismatch",
                "The part does not match its checksum and was discarded. Send it again.",
                field="Upload-Checksum",
            )
        if self._n_bytes:
            self._store()

    def _write(self) -> None:
        """Write the batch into the file, storing each part that becomes whole."""
        rest = memoryview(bytes(self._batch))
        self._batch.clear()
        while rest:
            room = self._part_store.part_bytes - self._n_bytes
            piece, rest = rest[:room], rest[room:]
            with room_needed(), self._path.open("ab", buffering=0) as file:
                if not self._n_bytes:
                    file.write(secrets.token_bytes(SALT_BYTES))
                file.write(piece)
            if self._digest is not None:
                self._digest.update(piece)
            self._n_bytes += len(piece)
            if self._n_bytes == self._part_store.part_bytes and self._checksum is None:
                self._store()

    def _store(self) -> None:
        """Store the bytes of the part, then the row that names them."""
        store, upload = self._part_store.store, self._upload
        ref = store.artifacts.put_file(upload.tenant_id, self._path)
        failpoints.reach("upload.part_stored")
        try:
            with store.database.begin() as tx:
                self._upload = uploads.add_part(
                    tx,
                    upload,
                    sha256=ref.sha256,
                    size_bytes=self._n_bytes,
                    keep_seconds=self._part_store.keep_seconds,
                )
        except StoreError:
            store.artifacts.delete(upload.tenant_id, ref.sha256)  # no other row can name it
            raise
        failpoints.reach("upload.part_recorded")
        self._n_bytes = 0


async def assembled(
    store: Store, tenant_id: str, upload_id: str, *, workdir: Path, settings: ServiceSettings
) -> tuple[Received, tus.Metadata]:
    """The whole file of a complete upload, in `workdir`, and its sender's metadata.

    Raises NotFound, and Problem if the upload is incomplete or differs from its announcement.
    """
    upload = await to_thread.run_sync(
        partial(_renewed, store, tenant_id, upload_id, settings.upload_keep_seconds)
    )
    if not upload.is_complete:
        raise Problem(
            409,
            "upload_incomplete",
            f"The upload has {upload.received_bytes:,} of its {upload.size_bytes:,} bytes: send "
            "the rest first.",
            field="upload",
        )
    metadata = tus.read_metadata(upload.metadata)
    path = workdir / "upload"
    sha256 = await to_thread.run_sync(partial(_assemble, store, upload, path))
    if upload.sha256 is not None and sha256 != upload.sha256:
        raise Problem(
            422,
            "checksum_mismatch",
            "The received file does not match the announced sha256. Did it change meanwhile? "
            "Delete this upload and send the file again.",
            field="upload",
        )
    return Received(path=path, sha256=sha256, file_name=metadata.file_name), metadata


def _renewed(store: Store, tenant_id: str, upload_id: str, keep_seconds: float) -> Upload:
    """The upload, its expiry put off while it is read."""
    with store.database.begin() as tx:
        return uploads.keep(tx, tenant_id, upload_id, keep_seconds=keep_seconds)


def _assemble(store: Store, upload: Upload, path: Path) -> str:
    """Write the file to `path`, two parts in memory at a time; its sha256."""
    digest = hashlib.sha256()
    with room_needed(), path.open("xb") as file:
        try:
            for salted in _parts(store, upload):
                data = memoryview(salted)[SALT_BYTES:]
                digest.update(data)
                file.write(data)
        except ArtifactMissing:
            with store.database.read() as tx:
                uploads.get(tx, upload.tenant_id, upload.id)  # NotFound: deleted meanwhile
            raise
    return digest.hexdigest()


def _parts(store: Store, upload: Upload) -> Iterator[bytes]:
    """The artifacts of the parts; each is read and checked while the one before is used."""
    with store.database.read() as tx:
        parts = uploads.parts(tx, upload.tenant_id, upload.id)
    read = partial(store.artifacts.get_bytes, upload.tenant_id)
    with ThreadPoolExecutor(1, thread_name_prefix="upload-parts") as ahead:
        waiting: Future[bytes] | None = None
        for part in parts:
            coming = ahead.submit(read, part.sha256)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()

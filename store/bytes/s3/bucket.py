"""The few operations on a bucket; each ends with an answer or with StorageUnavailable."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from urllib3.exceptions import HTTPError as TransferError

from store.bytes.s3.client import Patience, available, is_missing
from store.bytes.s3.multipart import MultipartPut

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from types_boto3_s3.client import S3Client

log = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 256 << 10
_SLOWEST_BYTES_PER_SECOND: Final = 64 << 10
_PAUSE_SECONDS: Final = 0.2  # before a download continues; doubled each time
_BROKE_OFF: Final = (HTTPClientError, IncompleteReadError, TransferError)
PART_BYTES: Final = 16 << 20
"""The most bytes of one request; anything larger is sent in parts."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """An object, as the storage describes it."""

    key: str
    size_bytes: int
    put_at: datetime
    """By the storage's clock, truncated to seconds."""
    age_seconds: float
    """Since `put_at`, by the storage's clock."""


class ObjectMissing(Exception):  # noqa: N818  as the store's errors are named
    """The bucket exists, but nothing is under the key."""


class Body(Protocol):
    """The bytes of an answer, as they come."""

    def read1(self, n_bytes: int, /) -> bytes:
        """The bytes that have come, up to `n_bytes`; waits for the first, empty at the end."""

    def close(self) -> object:
        """Read no further."""


class Bucket:
    """One bucket seen through one client. Safe to share between threads."""

    def __init__(
        self, client: "S3Client", name: str, patience: Patience, *, part_bytes: int = PART_BYTES
    ) -> None:
        self._client = client
        self._name = name
        self._patience = patience
        self._part_bytes = part_bytes

    def put(
        self,
        key: str,
        source: BinaryIO,
        *,
        size_bytes: int,
        sha256: str,
        only_if_missing: bool = False,
    ) -> bool:
        """Store the bytes of `source`; False if `only_if_missing` and the key may be taken.

        Raises OSError if `source` no longer has its hash.
        """
        put = MultipartPut(
            bucket=self._name,
            key=key,
            source=source,
            size_bytes=size_bytes,
            sha256=sha256,
            part_bytes=self._part_bytes,
        )
        if only_if_missing and put.is_large and self.find(key) is not None:
            return False  # S3 would say so only after it has received all bytes
        with available("write"):
            return put.send(self._client, only_if_missing=only_if_missing)

    def find(self, key: str) -> Found | None:
        """The object under the key; None without one (or without a bucket: `read` tells)."""
        with available("read"):
            try:
                answer = self._client.head_object(Bucket=self._name, Key=key)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        now = parsedate_to_datetime(date) if date else datetime.now(UTC)
        put_at = answer["LastModified"]
        return Found(
            key=key,
            size_bytes=answer["ContentLength"],
            put_at=put_at,
            age_seconds=(now - put_at).total_seconds(),
        )

    def read(self, key: str) -> Iterator[bytes]:
        """The bytes under the key in order, in chunks; resumed where the download broke off.

        Raises ObjectMissing if there is nothing under the key.
        """
        n_read = 0
        for n_try in count(1):
            with available("read"):
                size_bytes, body = self._open(key, n_read)
                try:
                    for chunk in _paced(body, self._patience):
                        n_read += len(chunk)
                        yield chunk
                    if n_read >= size_bytes:
                        return
                    raise TransferError(f"{n_read} of {size_bytes} bytes came")
                except _BROKE_OFF as error:
                    if n_try >= self._patience.n_tries:
                        raise
                    log.warning("artifact.download_broke key=%s n_read=%d %s", key, n_read, error)
                finally:
                    body.close()
            time.sleep(_PAUSE_SECONDS * 2 ** (n_try - 1))

    def delete(self, key: str) -> None:
        """Remove the object under the key, if there is one."""
        with available("write"):
            self._client.delete_object(Bucket=self._name, Key=key)

    def list(self, prefix: str) -> Iterator[Found]:
        """All objects whose key begins with `prefix`."""
        now = datetime.now(UTC)
        with available("read"):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._name, Prefix=prefix):
                for item in page.get("Contents", ()):
                    put_at = item["LastModified"]
                    yield Found(
                        key=item["Key"],
                        size_bytes=item["Size"],
                        put_at=put_at,
                        age_seconds=(now - put_at).total_seconds(),
                    )

    def abort_uploads(self, prefix: str, *, older_than_seconds: float) -> int:
        """Remove the parts of uploads begun so long ago; return the number of uploads."""
        now = datetime.now(UTC)
        n_removed = 0
        with available("write"):
            pages = self._client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self._name, Prefix=prefix):
                for item in page.get("Uploads", ()):
                    if (now - item["Initiated"]).total_seconds() >= older_than_seconds:
                        self._client.abort_multipart_upload(
                            Bucket=self._name, Key=item["Key"], UploadId=item["UploadId"]
                        )
                        n_removed += 1
        return n_removed

    def _open(self, key: str, n_skipped: int) -> tuple[int, Body]:
        """The object's whole size, and its bytes from `n_skipped` on."""
        try:
            if not n_skipped:
                answer = self._client.get_object(Bucket=self._name, Key=key)
                return answer["ContentLength"], _raw(answer["Body"])
            answer = self._client.get_object(
                Bucket=self._name, Key=key, Range=f"bytes={n_skipped}-"
            )
        except ClientError as error:
            if is_missing(error):
                raise ObjectMissing(key) from error
            raise
        if not answer.get("ContentRange", "").startswith(f"bytes {n_skipped}-"):
            answer["Body"].close()
            raise TransferError("the storage cannot go on in the middle of an object")
        return n_skipped + answer["ContentLength"], _raw(answer["Body"])


def _raw(body: "StreamingBody") -> Body:
    # The library's own `read` waits until all requested bytes have come, even one by one for days:
    # its timeout is for the next byte. The stream that it wraps can return what there is.
    raw: Body = body._raw_stream  # type: ignore[attr-defined]  # absent from its type stubs
    return raw


def _paced(body: Body, patience: Patience) -> Iterator[bytes]:
    """The chunks of `body`. Raises TransferError if they come too slowly."""
    n_read, waited_seconds = 0, 0.0
    while True:
        began = time.monotonic()
        chunk = body.read1(_CHUNK_BYTES)
        waited_seconds += time.monotonic() - began
        if not chunk:
            return
        n_read += len(chunk)
        if waited_seconds > patience.answer_seconds + n_read / _SLOWEST_BYTES_PER_SECOND:
            raise TransferError(f"only {n_read} bytes came in {waited_seconds:.0f} seconds")
        yield chunk

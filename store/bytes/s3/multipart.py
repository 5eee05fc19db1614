"""Put bytes into an S3-compatible storage: whole or not at all, in bounded memory."""

import errno
import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from botocore.exceptions import BotoCoreError, ClientError

from store.bytes.s3.client import is_conflict

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

MAX_PARTS: Final = 10_000  # S3's limit
N_AT_ONCE: Final = 4


@dataclass(frozen=True, kw_only=True)
class MultipartPut:
    """Bytes to store under a key of a bucket; each try reads `source` from its start."""

    bucket: str
    key: str
    source: BinaryIO
    size_bytes: int
    sha256: str
    part_bytes: int
    """The most bytes of one request; larger sources are sent in parts, N_AT_ONCE at a time."""

    @property
    def is_large(self) -> bool:
        """Whether it takes more than one request."""
        return self.size_bytes > self.part_bytes

    def send(self, client: "S3Client", *, only_if_missing: bool) -> bool:
        """Store the bytes; False if `only_if_missing` and the key may be taken.

        Raises OSError if `source` no longer has its hash, and the errors of botocore.
        """
        self.source.seek(0)
        try:
            if self.is_large:
                self._send_parts(client, only_if_missing=only_if_missing)
            else:
                self._send_whole(client, only_if_missing=only_if_missing)
        except ClientError as error:
            if only_if_missing and is_conflict(error):
                return False
            raise
        return True

    def _send_whole(self, client: "S3Client", *, only_if_missing: bool) -> None:
        data = self.source.read(self.part_bytes + 1)
        self._check(hashlib.sha256(data).hexdigest())
        if only_if_missing:
            client.put_object(Bucket=self.bucket, Key=self.key, Body=data, IfNoneMatch="*")
        else:
            client.put_object(Bucket=self.bucket, Key=self.key, Body=data)

    def _send_parts(self, client: "S3Client", *, only_if_missing: bool) -> None:
        """The object appears with the last request; before that there are only hidden parts."""
        begun = client.create_multipart_upload(Bucket=self.bucket, Key=self.key)
        upload_id = begun["UploadId"]
        try:
            parts = self._sent_parts(client, upload_id)
            if only_if_missing:
                client.complete_multipart_upload(
                    Bucket=self.bucket,
                    Key=self.key,
                    UploadId=upload_id,
                    MultipartUpload={"Parts": parts},
                    IfNoneMatch="*",
                )
            else:
                client.complete_multipart_upload(
                    Bucket=self.bucket,
                    Key=self.key,
                    UploadId=upload_id,
                    MultipartUpload={"Parts": parts},
                )
        except BaseException:
            # If this fails too, `remove_leftovers` or the bucket's own rule removes the parts.
            with suppress(BotoCoreError, ClientError):
                client.abort_multipart_upload(Bucket=self.bucket, Key=self.key, UploadId=upload_id)
            raise

    def _sent_parts(self, client: "S3Client", upload_id: str) -> "list[CompletedPartTypeDef]":
        def send(number: int, data: bytes) -> "CompletedPartTypeDef":
            answer = client.upload_part(
                Bucket=self.bucket, Key=self.key, UploadId=upload_id, PartNumber=number, Body=data
            )
            return {"PartNumber": number, "ETag": answer["ETag"]}

        sent: list[CompletedPartTypeDef] = []
        under_way: deque[Future[CompletedPartTypeDef]] = deque()
        digest = hashlib.sha256()
        with ThreadPoolExecutor(N_AT_ONCE, thread_name_prefix="upload") as pool:
            for number, data in enumerate(self._parts(), start=1):
                digest.update(data)
                if len(under_way) == N_AT_ONCE:  # no more than these are in memory
                    sent.append(under_way.popleft().result())
                under_way.append(pool.submit(send, number, data))
            sent.extend(part.result() for part in under_way)
        self._check(digest.hexdigest())
        return sent

    def _parts(self) -> Iterator[bytes]:
        size = max(self.part_bytes, -(-self.size_bytes // MAX_PARTS))
        while data := self.source.read(size):
            yield data

    def _check(self, sha256: str) -> None:
        if sha256 != self.sha256:
            raise OSError(errno.EIO, "the file changed while it was stored")

"""JSON shapes of resumable uploads, with one example each."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from service.http.fields import Cursor, Limit
from service.http.validation import SHA256_PATTERN
from service.uploads import tus
from store.uploads import Upload as UploadRecord

Sha256 = Annotated[str, Field(pattern=SHA256_PATTERN)]


class Upload(BaseModel):
    """A file that is being uploaded."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "up_31k8drzh5p2gk7m4t9x3wvq6ab",
                    "file_name": "pets.parquet",
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "size_bytes": 2147483648,
                    "received_bytes": 335544320,
                    "part_bytes": 16777216,
                    "created_at": "2026-11-24T03:21:46.157000Z",
                    "expires_at": "2026-11-25T03:24:12.941000Z",
                }
            ]
        }
    )

    id: str
    file_name: str | None
    sha256: str | None = Field(
        description="The sha256 of the whole file, if its sender announced it."
    )
    size_bytes: int
    received_bytes: int = Field(description="How many bytes are stored: go on from here.")
    part_bytes: int = Field(
        description="How many bytes are stored at a time; a part with a checksum may have no more."
    )
    created_at: datetime
    expires_at: datetime = Field(description="When the upload is deleted, if no bytes come before.")

    @classmethod
    def of(cls, record: UploadRecord, *, part_bytes: int) -> "Upload":
        """The stored upload as the API shows it."""
        return cls(
            id=record.id,
            file_name=tus.read_metadata(record.metadata).file_name,
            sha256=record.sha256,
            size_bytes=record.size_bytes,
            received_bytes=record.received_bytes,
            part_bytes=part_bytes,
            created_at=record.created_at,
            expires_at=record.expires_at,
        )


class UploadPage(BaseModel):
    """Uploads, newest first."""

    items: list[Upload]
    next_cursor: str | None = Field(description="Pass it as cursor for the next page.")


class UploadQuery(BaseModel):
    """Which uploads to list."""

    model_config = ConfigDict(extra="forbid")

    sha256: Sha256 | None = Field(
        default=None,
        description="List only uploads of the file with this sha256, to find an interrupted one.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    cursor: Cursor = None
    limit: Limit = 50

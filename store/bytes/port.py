"""The port to the storage of bytes: immutable, named by their sha256, checked at each reading.

A check is never remembered: a file that was sound a moment ago may have been changed in place
since, with the same size, inode and time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from store.bytes.checked_file import CheckedFile


@dataclass(frozen=True, kw_only=True)
class ArtifactRef:
    """A reference to stored bytes, as a row keeps it."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class StoredArtifact:
    """Stored bytes, as the storage lists them."""

    tenant_id: str
    sha256: str
    size_bytes: int
    put_at: datetime
    """When the bytes were last put, by the storage's clock."""


class Artifacts(Protocol):
    """The port to the storage of bytes. Bytes first, then the row that names them.

    All methods raise InvalidName for a wrong tenant, ValueError for a wrong sha256, and
    StorageUnavailable if the storage cannot answer now.
    """

    def put_bytes(self, tenant_id: str, data: bytes) -> ArtifactRef:
        """Store bytes durably; putting them again is harmless and makes them young."""
        ...

    def put_file(self, tenant_id: str, path: Path) -> ArtifactRef:
        """Store a file durably, and remove it."""
        ...

    def get_bytes(self, tenant_id: str, sha256: str) -> bytes:
        """The bytes, their hash checked. Raises ArtifactMissing, ArtifactCorrupt."""
        ...

    def open_path(self, tenant_id: str, sha256: str) -> Path:
        """A file to map into memory, its hash checked now. Raises as `get_bytes`.

        The file may be changed in place while it is used. So check the mapping itself before giving
        out results: `DatasetFile.check`, `RowsFile.check`.
        """
        ...

    def open_checked(
        self, tenant_id: str, sha256: str, *, start: int = 0, stop: int | None = None
    ) -> "CheckedFile":
        """A file whose bytes are checked as they are read. Raises as `get_bytes`.

        The bytes from `start` to before `stop` have been checked when this returns.
        """
        ...

    def copy_to(self, tenant_id: str, sha256: str, path: Path) -> None:
        """Write the bytes to a new file, checked on the way. Raises as `get_bytes`."""
        ...

    def exists(self, tenant_id: str, sha256: str) -> bool:
        """Whether the bytes are there, unchecked."""
        ...

    def delete(
        self, tenant_id: str, sha256: str, *, unless_put_after: datetime | None = None
    ) -> bool:
        """Remove the bytes unless they were put after that moment; return whether it did."""
        ...

    def stored(self, tenant_id: str | None = None) -> Iterator[StoredArtifact]:
        """All stored bytes of a tenant, or of all of them for the garbage collection."""
        ...

    def remove_leftovers(self, *, older_than_seconds: float) -> int:
        """Remove what interrupted puts left behind; return how many."""
        ...

    def check(self) -> None:
        """Raise StorageUnavailable unless bytes can be written now."""
        ...

"""The port to the storage of bytes: immutable, named by their sha256, checked at each reading.

Nothing is remembered of a check but what the bytes must be: a file that was sound a moment ago may
have been changed in place since, with the same size, inode and time.
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
    """What a row keeps of stored bytes."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class StoredArtifact:
    """What the storage knows of stored bytes."""

    tenant_id: str
    sha256: str
    size_bytes: int
    put_at: datetime
    """When the bytes were last put, by the storage's clock."""


class Artifacts(Protocol):
    """The port to the storage of bytes. Bytes first, then the row that names them.

    All raise InvalidName for a tenant and ValueError for a sha256 that is not one, and
    StorageUnavailable when the storage cannot answer now.
    """

    def put_bytes(self, tenant_id: str, data: bytes) -> ArtifactRef:
        """Store bytes durably; putting them again is harmless and makes them young."""
        ...

    def put_file(self, tenant_id: str, path: Path) -> ArtifactRef:
        """Store a file durably. The file is consumed: it is gone afterwards."""
        ...

    def get_bytes(self, tenant_id: str, sha256: str) -> bytes:
        """The bytes, their hash checked. Raises ArtifactMissing, ArtifactCorrupt."""
        ...

    def open_path(self, tenant_id: str, sha256: str) -> Path:
        """A file to map into memory, its hash checked now. Raises as `get_bytes`.

        It may be changed in place while it is used, so what was made of it is not let out before
        the mapping itself has been checked: `DatasetFile.check`, `RowsFile.check`.
        """
        ...

    def open_checked(
        self, tenant_id: str, sha256: str, *, start: int = 0, stop: int | None = None
    ) -> "CheckedFile":
        """A file to read from, whose bytes are checked as they are read. Raises as `get_bytes`.

        Those from `start` to before `stop` have been checked when this returns.
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
        """Remove the bytes, unless they were put after that moment; whether they were removed."""
        ...

    def stored(self) -> Iterator[StoredArtifact]:
        """All that is stored, of all tenants, for the garbage collection."""
        ...

    def remove_leftovers(self, *, older_than_seconds: float) -> int:
        """Remove what interrupted puts left behind; return how many."""
        ...

    def check(self) -> None:
        """Raise StorageUnavailable unless bytes can be written now."""
        ...

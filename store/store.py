"""The store that the doors get: the database and the artifacts together."""

from dataclasses import dataclass

from store.bytes.local import LocalArtifacts
from store.bytes.port import Artifacts
from store.database.connection import Database
from store.errors import StoreError
from store.settings import StoreSettings


@dataclass(frozen=True, kw_only=True)
class Store:
    """Rows and bytes."""

    database: Database
    artifacts: Artifacts

    @classmethod
    def open(cls, settings: StoreSettings) -> "Store":
        """Open what the settings name. Makes folders, but not the schema (see `migrations`)."""
        return cls(
            database=Database.open(settings.database_url, pool_size=settings.database_pool_size),
            artifacts=open_artifacts(settings),
        )

    def close(self) -> None:
        """Close the database's connections."""
        self.database.close()


def open_artifacts(settings: StoreSettings) -> Artifacts:
    """The artifacts that the settings name: in a bucket, or else in a folder.

    Nothing is sent to a bucket yet; `Artifacts.check` does that. Raises StoreError if the library
    for buckets is missing, StorageUnavailable if a folder cannot be made.
    """
    if settings.artifacts_url is None:
        return LocalArtifacts(settings.artifacts_dir)
    try:
        from store.bytes.s3.artifacts import S3Artifacts  # optional, and slow to import
    except ModuleNotFoundError as error:
        if error.name not in {"boto3", "botocore"}:
            raise
        raise StoreError("Object storage needs boto3: pip install 'nmtune-server[s3]'") from error
    return S3Artifacts.open(settings)

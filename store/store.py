"""Home of the one value the doors are given: the database and the artifacts together."""

from dataclasses import dataclass

from store.artifacts import Artifacts
from store.database import Database
from store.local_artifacts import LocalArtifacts
from store.settings import StoreSettings


@dataclass(frozen=True, kw_only=True)
class Store:
    """Rows and bytes."""

    database: Database
    artifacts: Artifacts

    @classmethod
    def open(cls, settings: StoreSettings) -> "Store":
        """Open what the settings name; folders are made, the schema is not (see `migrations`)."""
        return cls(
            database=Database.open(settings.database_url, pool_size=settings.database_pool_size),
            artifacts=LocalArtifacts(settings.artifacts_dir),
        )

    def close(self) -> None:
        """Close the database's connections."""
        self.database.close()

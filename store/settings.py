"""Home of the settings every server process shares: where rows and bytes live."""

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def _default_database_url(values: dict[str, Any]) -> str:
    return f"sqlite:///{values['data_dir'] / 'nmtune.db'}"


def _default_artifacts_dir(values: dict[str, Any]) -> Path:
    return Path(values["data_dir"]) / "artifacts"


class StoreSettings(BaseSettings):
    """Read once, at a door, from `NMTUNE_...` variables; passed on as plain values."""

    model_config = SettingsConfigDict(env_prefix="NMTUNE_", validate_default=True, frozen=True)

    data_dir: Path = Path("nmtune-data")
    """The folder of the SQLite database and of the artifacts; made absolute."""
    database_url: str = Field(default_factory=_default_database_url)
    """SQLAlchemy URL; the default is the SQLite file `nmtune.db` in `data_dir`."""
    database_pool_size: int = Field(default=16, ge=1, le=500)
    """The most connections of one process to PostgreSQL; those of all fit its max_connections."""
    artifacts_dir: Path = Field(default_factory=_default_artifacts_dir)
    """The folder of the artifacts; the default is `artifacts` in `data_dir`."""

    @field_validator("data_dir", "artifacts_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        if "?" in str(path):
            raise ValueError("the path must not contain '?', which ends the path in a database URL")
        # A child process or a later chdir must not look elsewhere.
        return path.expanduser().absolute()

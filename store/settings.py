"""The settings that every server process shares: where rows and bytes are."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import ByteSize, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_GIB: Final = 1 << 30
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


def _default_database_url(values: dict[str, Any]) -> str:
    return f"sqlite:///{values['data_dir'] / 'nmtune.db'}"


def _default_artifacts_dir(values: dict[str, Any]) -> Path:
    return Path(values["data_dir"]) / "artifacts"


class StoreSettings(BaseSettings):
    """Read once, at a door, from `NMTUNE_...` variables; passed on as plain values."""

    model_config = SettingsConfigDict(
        env_prefix="NMTUNE_",
        validate_default=True,
        frozen=True,
        hide_input_in_errors=True,  # the input holds keys and passwords
    )

    data_dir: Path = Path("nmtune-data")
    """The folder of the SQLite database and of the artifacts."""
    database_url: str = Field(default_factory=_default_database_url)
    """An SQLAlchemy URL of PostgreSQL or SQLite. An SQLite file must not lie on a network file
    system."""
    database_pool_size: int = Field(default=16, ge=1, le=500)
    """The most connections of one process to PostgreSQL; the sum over all processes must fit its
    `max_connections`."""
    artifacts_dir: Path = Field(default_factory=_default_artifacts_dir)
    """The folder of the artifacts (datasets, heads, reports, checkpoints): files named by their
    sha256."""
    artifacts_url: str | None = None
    """`s3://bucket/prefix`: keep the artifacts in object storage and not in a folder."""
    s3_endpoint_url: str | None = None
    """`https://host[:port]` of another S3-compatible storage."""
    s3_region: str | None = None
    """The bucket's region."""
    s3_access_key_id: str | None = None
    """The access key; set both the key and its secret, or neither."""
    s3_secret_access_key: SecretStr | None = None
    """The secret of the access key."""
    artifacts_cache_bytes: Annotated[ByteSize, Field(ge=0)] = ByteSize(10 * _GIB)
    """How much of the object storage a machine keeps as files in its data folder."""
    job_files_days: float = Field(default=90.0, ge=0.0)
    """How long the further files of a job are kept: the values of its rows, its map and its other
    heads; 0 keeps them for ever. Heads and reports stay."""
    audit_days: float = Field(default=400.0, ge=0.0)
    """How long the audit keeps who did what; 0 keeps it for ever."""

    @field_validator("data_dir", "artifacts_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        if "?" in str(path):
            raise ValueError(
                "the path must not contain '?', which would end the path in a database URL"
            )
        # So that a child process or a later chdir does not look elsewhere.
        return path.expanduser().absolute()

    @field_validator("artifacts_url")
    @classmethod
    def _bucket_and_prefix(cls, url: str | None) -> str | None:
        if url is None:
            return None
        bucket, prefix = split_artifacts_url(url)
        # Some servers fold "." and "..", others do not.
        is_plain = not prefix or (
            _PREFIX.fullmatch(prefix) and not {".", ".."} & set(prefix.split("/"))
        )
        if not url.startswith("s3://") or not _BUCKET.fullmatch(bucket) or not is_plain:
            raise ValueError(
                "write s3://bucket or s3://bucket/prefix, with a valid bucket name and letters, "
                "digits, '.', '_' and '-' in the prefix"
            )
        return url.rstrip("/")

    @field_validator("s3_endpoint_url")
    @classmethod
    def _http(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("write https://host or http://host:port")
        if parts.username or parts.password or parts.query or parts.fragment:
            # This URL appears in logs.
            raise ValueError("write the keys in NMTUNE_S3_ACCESS_KEY_ID and ..._SECRET_ACCESS_KEY")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.artifacts_url is None:
            for name in ("s3_endpoint_url", "s3_region", "s3_access_key_id"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"NMTUNE_{name.upper()} is set, but the artifacts are in a folder: set "
                        "NMTUNE_ARTIFACTS_URL to s3://bucket/prefix too, or unset it"
                    )
        elif "artifacts_dir" in self.model_fields_set:
            raise ValueError(
                "NMTUNE_ARTIFACTS_DIR and NMTUNE_ARTIFACTS_URL name two places for the artifacts: "
                "unset one of them"
            )
        if (self.s3_access_key_id is None) != (self.s3_secret_access_key is None):
            raise ValueError(
                "NMTUNE_S3_ACCESS_KEY_ID and NMTUNE_S3_SECRET_ACCESS_KEY belong together: set "
                "both, or neither to use the AWS variables, profile or instance role"
            )
        return self

    @property
    def artifacts_cache_dir(self) -> Path:
        """The cache folder of the object storage; it may be emptied at any time."""
        return self.data_dir / "artifact-cache"


def split_artifacts_url(url: str) -> tuple[str, str]:
    """The bucket and the prefix, which may be empty, of `s3://bucket/prefix`."""
    bucket, _, prefix = url.removeprefix("s3://").rstrip("/").partition("/")
    return bucket, prefix

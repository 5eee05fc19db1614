"""A key as a line of a table."""

from datetime import UTC, datetime

from nmtune_client._keys.values import ApiKey

KEY_HEADER = ("id", "name", "key", "scopes", "heads", "ends", "last used")


def key_row(key: ApiKey) -> tuple[str, ...]:
    """The columns of `KEY_HEADER`."""
    return (
        key.id,
        key.name,
        key.hint,
        ",".join(key.scopes),
        ",".join(key.heads) if key.heads else "all",
        _end(key),
        f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never",
    )


def _end(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is None:
        return "never"
    ended = "ended " if key.expires_at <= datetime.now(UTC) else ""
    return f"{ended}{key.expires_at:%Y-%m-%d}"

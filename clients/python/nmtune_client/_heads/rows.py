"""A head as a line of a table."""

from nmtune_client._heads.values import Head, HeadVersion
from nmtune_client._show import plain

HEAD_HEADER = ("head", "ID accuracy", "mean OOD", "encoder", "aliases", "notes", "created")


def head_row(head: Head) -> tuple[str, ...]:
    """A head and its latest version as a line under `HEAD_HEADER`."""
    aliases = ", ".join(f"{alias} -> {version}" for alias, version in head.aliases.items())
    latest = head.latest
    if latest is None:
        return (str(head), "", "", "", aliases or "-", "", plain.moment(head.created_at))
    return (
        str(latest),
        figure(latest.accuracy),
        figure(latest.mean_ood_accuracy),
        encoder_of(latest),
        aliases or "-",
        notes_of(latest),
        plain.moment(latest.created_at),
    )


def figure(accuracy: float | None) -> str:
    """An accuracy for people; `-` for none."""
    return "-" if accuracy is None else f"{accuracy:.3f}"


def encoder_of(version: HeadVersion) -> str:
    """What embedded the texts, `openai text-embedding-3-small`; `-` for embeddings sent."""
    encoder = version.encoder or {}
    words = [str(encoder[name]) for name in ("provider", "model") if encoder.get(name)]
    return plain.shorten(" ".join(dict.fromkeys(words)) or "-", 40)


def notes_of(version: HeadVersion) -> str:
    """Tags and description in one line."""
    tags = [f"{name}={value}" for name, value in version.tags.items()]
    return plain.shorten(" ".join([*tags, *(version.description or "").split()]), 40)

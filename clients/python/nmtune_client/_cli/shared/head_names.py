"""Heads as the command line names them: `pets`, `pets@3`, `pets@prod`."""

from nmtune_client import Client


def name_alone(text: str, *, usage: str) -> str:
    """The name of a head; ValueError that shows the right call if a version stands with it."""
    name, version = name_and_version(text)
    if version is not None:
        raise ValueError(f"{text} names a version; give only the head's name: nmtune heads {usage}")
    return name


def name_and_version(text: str) -> tuple[str, str | None]:
    """`pets@3` as its two parts; the second is None where there is none."""
    name, _, version = text.partition("@")
    return name, version or None


def version_number(client: Client, name: str, alias: str) -> int:
    """The version that a number, an alias or `latest` names."""
    if alias.isdigit():
        return int(alias)
    head = client.heads.get(name)
    if alias == "latest":
        return head.latest_version
    if alias not in head.aliases:
        raise ValueError(f"{name} has no alias {alias}, but {', '.join(head.aliases) or 'none'}")
    return head.aliases[alias]

"""Find names that people read as one and computers as several, such as "Cat " and "cat"."""

import unicodedata
from collections.abc import Iterable
from typing import Final

_INVISIBLE: Final = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
"""Soft hyphen, zero-width space, word joiner, byte order mark; joiners that scripts need stay."""


def similar(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of different `names` that are equal except for case, spaces and Unicode form.

    Groups, and the names in each, keep the order of `names`.
    """
    groups: dict[str, dict[str, None]] = {}
    for name in names:
        groups.setdefault(_key(name), {})[name] = None
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _key(name: str) -> str:
    plain = unicodedata.normalize("NFC", name).translate(_INVISIBLE)
    return unicodedata.normalize("NFC", " ".join(plain.split()).casefold())

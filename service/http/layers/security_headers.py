"""Headers that tell browsers what not to do with an answer."""

from collections.abc import Iterable
from typing import Final

CONTENT_SECURITY_POLICY: Final = b"content-security-policy"

ALWAYS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
NOT_A_PAGE: Final = (
    CONTENT_SECURITY_POLICY,
    b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
)
"""Data must not be shown as a page, run, or framed."""

HTTPS_FOR_A_YEAR: Final = (b"strict-transport-security", b"max-age=31536000")
"""Browsers then ask this host by https alone. Nothing is said of names below it, which may be
others'."""

_OF_DATA: Final = (*ALWAYS, NOT_A_PAGE)


def added_to(
    headers: Iterable[tuple[bytes, bytes]], *, over_https: bool = False
) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with these added; a page has its own content policy."""
    own = [*headers, HTTPS_FOR_A_YEAR] if over_https else list(headers)
    has_policy = any(name == CONTENT_SECURITY_POLICY for name, _ in own)
    return [*own, *(ALWAYS if has_policy else _OF_DATA)]

"""The URL that a user wants messages to be sent to, checked by its form."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from outbound.addresses import is_host

MOST_CHARACTERS: Final = 2000
_USUAL_PORTS: Final = {"https": 443, "http": 80}


class UrlNotAllowed(ValueError):  # noqa: N818  as its neighbours
    """Nothing may be sent there; the message says why and what to do, and repeats no query."""


@dataclass(frozen=True)
class ReceiverUrl:
    """A checked URL in its parts, so that no second parser reads it otherwise."""

    scheme: str
    host: str
    """Without the brackets of an IPv6 address."""
    port: int
    target: str
    """Path and query."""


def parse_receiver_url(url: str, allowed: Iterable[tuple[str, int]] = ()) -> ReceiverUrl:
    """https to any port, or http to a host and port that the operator allows.

    Where the name leads is checked at the socket. Raises UrlNotAllowed.
    """
    if len(url) > MOST_CHARACTERS or not re.fullmatch(r"[!-~]+", url):
        raise UrlNotAllowed(
            f"url must have 1 to {MOST_CHARACTERS} printable ASCII characters and no spaces."
        )
    try:
        parts = urlsplit(url)
        host, port = parts.netloc, parts.port
    except ValueError as error:
        raise UrlNotAllowed("url is not a URL: its host or port is malformed.") from error
    if parts.scheme not in _USUAL_PORTS:
        raise UrlNotAllowed("url must begin with https://.")
    if "@" in host:
        raise UrlNotAllowed(
            "url holds a user name or password, which must not be there: messages are signed, so "
            "the receiver needs none."
        )
    if "#" in url:
        raise UrlNotAllowed("url has a fragment (#...), which is never sent: leave it out.")
    if port is not None:
        host = host.rpartition(":")[0]
    if not is_host(host) or port == 0 or host.endswith(":"):
        raise UrlNotAllowed("url needs a plain host name, and a port from 1 to 65535 if any.")
    port = port or _USUAL_PORTS[parts.scheme]
    host = host.strip("[]").lower()
    if parts.scheme == "http" and (host, port) not in set(allowed):
        raise UrlNotAllowed(
            f"url must begin with https://. The operator can allow plain http to this host by "
            f"adding {host}:{port} to NMTUNE_WEBHOOK_ALLOW_HOSTS."
        )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return ReceiverUrl(parts.scheme, host, port, target)

"""The base URL of a provider: checked, with its origin and what else the user may have meant."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from outbound.addresses import is_host
from providers.errors import InvalidProvider

_HTTPS_PORT: Final = 443
_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")
_ROOT: Final = re.compile(r"(/openai|/api)?(/v[0-9]+(beta)?)?$")
_MOST_CHARACTERS: Final = 500


@dataclass(frozen=True)
class BaseUrl:
    """A checked base URL, without a slash at its end."""

    scheme: str
    host: str
    """Without the brackets of an IPv6 address."""
    port: int
    path: str

    @property
    def origin(self) -> str:
        """Scheme, host and port: a key belongs to these three."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = _HTTPS_PORT if self.scheme == "https" else 80
        return f"{self.scheme}://{host}" + ("" if self.port == usual else f":{self.port}")

    def __str__(self) -> str:
        return self.origin + self.path

    def without(self, endings: Iterable[str]) -> "BaseUrl":
        """The URL without an ending that its path has, for users who copied a whole endpoint."""
        found = max((one for one in endings if self.path.endswith(one)), key=len, default="")
        return replace(self, path=self.path[: len(self.path) - len(found)])

    def alternatives(self, roots: Iterable[str]) -> list["BaseUrl"]:
        """URLs that may be meant instead: the same origin, with a root common to such services."""
        bare = _ROOT.sub("", self.path)
        paths = [bare]
        for root in roots:
            paths = [bare + root, *paths]
            if not re.search(r"/v[0-9]", self.path):  # a gateway may have a path of its own
                paths = [self.path + root, *paths]
        return [replace(self, path=path) for path in dict.fromkeys(paths) if path != self.path]


def parse_base_url(url: str, allowed: Iterable[tuple[str, int]] = ()) -> BaseUrl:
    """Check a base URL: https on port 443, or a host and port that the operator allows.

    The socket checks the address behind the name with each connection. Raises InvalidProvider.
    """
    if not re.fullmatch(r"[!-~]+", url):  # `urlsplit` would drop tabs and line breaks
        raise _no_url()
    try:
        parts = urlsplit(url[:_MOST_CHARACTERS])
        # `netloc` keeps what `hostname` forgives: user names, spaces, letters beyond ASCII.
        host, port = parts.netloc, parts.port
    except ValueError as error:
        raise _no_url() from error
    if port is not None:
        host = host.rpartition(":")[0]
    path = parts.path.rstrip("/")
    is_plain = is_host(host) and _PATH.fullmatch(path)
    if len(url) > _MOST_CHARACTERS or not is_plain or parts.query or parts.fragment:
        raise _no_url()
    if parts.scheme not in {"http", "https"} or path.find("/.") >= 0:
        raise _no_url()
    if port is None:
        port = _HTTPS_PORT if parts.scheme == "https" else 80
    host = host.strip("[]").lower()
    if (parts.scheme, port) != ("https", _HTTPS_PORT) and (host, port) not in set(allowed):
        raise InvalidProvider(
            f"base_url points to {host}:{port}, but only https on port 443 is allowed. The "
            f"operator can allow it by adding {host}:{port} to NMTUNE_PROVIDER_ALLOW_HOSTS.",
            field="base_url",
        )
    return BaseUrl(parts.scheme, host, port, path)


def _no_url() -> InvalidProvider:
    return InvalidProvider(
        "base_url must be https://host or https://host/path, in ASCII, without a user name, query "
        "or fragment.",
        field="base_url",
    )

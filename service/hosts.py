"""Decide which host names this server answers to, and which pages are its own.

A web page may rename its own host to this machine (DNS rebinding) and then read everything that
this server answers; but its requests still carry the page's name as `Host`. So only this machine's
names and the operator's are answered. An address cannot be renamed: a page at an address was served
from there.
"""

import ipaddress
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

SETTING: Final = "NMTUNE_ALLOWED_HOSTS"
MOST_REMEMBERED: Final = 256
"""How many values of `Host` are remembered as ours; others are checked each time."""

_NAME: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_USUAL_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class HostPort:
    """A host, and its port if one was given."""

    name: str
    """Lower case, without a final dot; an address in its shortest form, without brackets."""
    port: int | None
    address: IPv4Address | IPv6Address | None
    """The address, if the name is one."""

    @property
    def is_loopback(self) -> bool:
        """Whether it names the machine that asks."""
        return self.name == "localhost" or (self.address is not None and self.address.is_loopback)


def read(text: str) -> HostPort | None:
    """Read `host`, `host:port`, `[address]` or `[address]:port`; None for anything else."""
    text = text.strip(" \t").lower()
    if not text.isascii():
        return None
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in name:
            return None
    else:
        name, colon, port = text.partition(":")
        name, rest = name.removesuffix("."), colon + port
        if not _NAME.fullmatch(name):
            return None
    address = _address(name)
    if address is None and ":" in name:
        return None
    port = rest.removeprefix(":")
    if port and (port == rest or not _PORT.fullmatch(port) or int(port) > 65535):
        return None
    return HostPort(str(address or name), int(port) if port else None, address)


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ipaddress.ip_address(name)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        return None if found.scope_id else found.ipv4_mapped or found
    return found


class Hosts:
    """The names of one server."""

    def __init__(self, *, listening_on: str, allowed: str = "") -> None:
        """listening_on: the address. allowed: NMTUNE_ALLOWED_HOSTS. Raises ValueError."""
        here = read(f"[{listening_on}]" if ":" in listening_on else listening_on)
        self._any_address = not is_loopback(listening_on)
        names, suffixes = _read_allowed(allowed)
        self._pages = frozenset(names)
        self._names = self._pages | ({(here.name, None)} if here is not None else set())
        self._suffixes = tuple(suffixes)
        self._known: set[bytes] = set()

    def knows(self, host: bytes) -> bool:
        """Whether this value of `Host` names this server."""
        if host in self._known:
            return True
        place = read(host.decode("latin-1"))
        if place is None or not self._is_ours(place):
            return False
        if len(self._known) < MOST_REMEMBERED:
            self._known.add(host)
        return True

    def is_own_page(self, origin: bytes, host: bytes) -> bool:
        """Whether a page of this origin came from the server that `host` names.

        The scheme is not compared: a proxy may speak TLS for us.
        """
        scheme, separator, rest = origin.decode("latin-1").lower().partition("://")
        page = read(rest) if separator and scheme in _USUAL_PORTS else None
        if page is None:
            return False
        usual = _USUAL_PORTS[scheme]
        port = page.port or usual
        asked = read(host.decode("latin-1"))
        if asked is not None and (page.name, port) == (asked.name, asked.port or usual):
            return True
        # A proxy may pass on another `Host` than the page's.
        return (page.name, port) in self._pages or (
            port == usual and (page.name, None) in self._pages
        )

    def _is_ours(self, place: HostPort) -> bool:
        if place.is_loopback or (place.name, None) in self._names:
            return True
        if place.address is not None and self._any_address:
            return True
        return (place.name, place.port) in self._names or any(
            place.name.endswith(suffix) and port in (None, place.port)
            for suffix, port in self._suffixes
        )


def is_loopback(listening_on: str) -> bool:
    """Whether a server that listens on this address is reached from its own machine alone."""
    place = read(f"[{listening_on}]" if ":" in listening_on else listening_on)
    return place is not None and place.is_loopback


def is_address(host: bytes) -> bool:
    """Whether this value of `Host` is an address, as that of a health probe is."""
    place = read(host.decode("latin-1"))
    return place is not None and place.address is not None


def _read_allowed(
    allowed: str,
) -> tuple[set[tuple[str, int | None]], list[tuple[str, int | None]]]:
    """The names and the suffixes (of `*.example.org`) of NMTUNE_ALLOWED_HOSTS, with ports."""
    names: set[tuple[str, int | None]] = set()
    suffixes: list[tuple[str, int | None]] = []
    for entry in re.split(r"[,\s]+", allowed):
        if not entry:
            continue
        place = _read_entry(entry.removeprefix("*."))
        if place is None or (entry.startswith("*.") and place.address is not None):
            raise ValueError(
                f"{entry[:80]!r} is not a host. Write names such as nmtune.example.org, 10.0.0.5 "
                f"or "
                "*.example.org, separated by commas, with :port where only one port is meant."
            )
        if entry.startswith("*."):
            suffixes.append((f".{place.name}", place.port))
        else:
            names.add((place.name, place.port))
    return names, suffixes


def _read_entry(entry: str) -> HostPort | None:
    if entry.count(":") > 1 and not entry.startswith("["):
        entry = f"[{entry}]"
    try:
        return read(entry if entry.isascii() else entry.encode("idna").decode())
    except UnicodeError:
        return None

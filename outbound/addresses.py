"""Where requests may go: to public addresses, and to hosts that the operator allows by name.

`ipaddress.is_global` lets translation prefixes, multicast and the metadata services of some clouds
through, and its answers differ between versions of Python; so the list is our own.
"""

import ipaddress
import re
from typing import Final

_FORBIDDEN: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",
        *("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32"),
        *("2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
)
_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]")


def is_public(address: str) -> bool:
    """Whether an IP address, as the resolver gave it, is on the public internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip not in _GLOBAL_UNICAST:
            return False
    return ip.is_global and not any(ip in net for net in _FORBIDDEN if net.version == ip.version)


def is_host(text: str) -> bool:
    """Whether `text` is a plain host name, or an IPv6 address in brackets."""
    return _HOST.fullmatch(text) is not None


def parse_allowed(text: str) -> frozenset[tuple[str, int]]:
    """`ollama:11434, 10.0.0.5:8080` as (host, port) pairs. Raises ValueError."""
    return frozenset(_host_and_port(part) for part in re.split(r"[,\s]+", text) if part)


def _host_and_port(part: str) -> tuple[str, int]:
    host, colon, port = part.rpartition(":")
    if not colon or not is_host(host) or not re.fullmatch(r"[0-9]{1,5}", port):
        raise ValueError(f"{part[:80]!r} is not host:port, such as ollama:11434")
    return host.strip("[]").lower(), int(port)

"""Which proxy stands between this process and its server, as the environment has it."""

import os
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from nmtune_client._http.errors import ConnectionSetupError

_SCHEMES = ("http", "https", "socks5", "socks5h")


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A proxy, and the variable that names it."""

    url: str
    variable: str

    def __str__(self) -> str:
        """Without user name and password."""
        return f"the proxy {shown(self.url)} that {self.variable} names"


def proxy_for(url: str) -> Proxy | None:
    """The proxy through which the environment wants `url` asked for; None for none.

    Variables and forms are curl's: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, and in NO_PROXY names,
    domains, addresses, networks, each with a port if need be. ConnectionSetupError, which names the
    variable, for a proxy that cannot be used.
    """
    server = urlsplit(url)
    host, found = server.hostname or "", getproxies()
    scheme = next((one for one in (server.scheme, "all") if found.get(one)), None)
    if scheme is None or _is_loopback(host) or _is_excepted(server, found.get("no", "")):
        return None
    if proxy_bypass(host):
        return None
    name = f"{scheme}_proxy"
    variable = next((one for one in (name, name.upper()) if os.environ.get(one)), "the system")
    proxy = found[scheme] if "://" in found[scheme] else f"http://{found[scheme]}"
    _check(proxy, variable, host)
    return Proxy(url=proxy, variable=variable)


def _check(proxy: str, variable: str, host: str) -> None:
    way_out = f"or leave {host} out of it: NO_PROXY={host}"
    try:
        parts = urlsplit(proxy)
        is_address = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_address = False
    if not is_address or parts.scheme not in _SCHEMES:
        raise ConnectionSetupError(
            f"{variable} is {shown(proxy)!r}, which is not the address of a proxy, such as "
            f"http://proxy.example:3128: correct or unset it, {way_out}"
        )
    if parts.scheme.startswith("socks") and find_spec("socksio") is None:
        raise ConnectionSetupError(
            f"{variable} names a SOCKS proxy, which needs one more package: "
            f"pip install 'nmtune-client[socks]', or unset {variable}, {way_out}"
        )


def _is_loopback(host: str) -> bool:
    """A proxy of the environment cannot reach a server on this very machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_excepted(server: SplitResult, no_proxy: str) -> bool:
    default = 443 if server.scheme == "https" else 80
    host, port = (server.hostname or "").rstrip("."), server.port or default
    entries = no_proxy.lower().replace(",", " ").split()
    return any(_covers(entry.partition("://")[2] or entry, host, port) for entry in entries)


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether one entry of NO_PROXY is of this host."""
    if entry == "*":
        return True
    with suppress(ValueError):  # a name, or an address with a port
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    name, colon, digits = entry.rpartition(":")
    if colon and digits.isdigit():
        return int(digits) == port and _covers(name, host, port)
    domain = entry.removeprefix("*").strip(".[]")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def shown(url: str) -> str:
    """A URL without the user name and the password that may be in it."""
    scheme, separator, rest = url.partition("://")
    place = (rest or scheme).rpartition("@")[2]
    return f"{scheme}{separator}{place}" if separator else place

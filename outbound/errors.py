"""What stops a request before it is sent. The caller tells it in its own words.

OutboundError
├── AddressForbidden    the host is in a private network
├── NoSuchHost          the name does not exist
├── LookupFailed        the name cannot be looked up now
├── NotHttp             what answers there does not speak HTTP
└── CannotUnseal        a sealed secret does not fit its key, owner or purpose
"""

# ruff: noqa: N818  `raise AddressForbidden(...)` reads better than with "Error" after each name.


class OutboundError(Exception):
    """A request could not be made; `host` and `port` say to whom."""

    def __init__(self, host: str, port: int, reason: str = "") -> None:
        super().__init__(f"{host}:{port} {reason}".rstrip())
        self.host = host
        self.port = port
        self.reason = reason


class AddressForbidden(OutboundError):
    """Requests must not go there. The addresses behind the name are for the log alone."""


class NoSuchHost(OutboundError):
    """The name does not exist."""


class LookupFailed(OutboundError):
    """The name cannot be looked up now, such as when no name server answers."""


class NotHttp(OutboundError):
    """The first bytes of the answer are not HTTP."""


class CannotUnseal(Exception):
    """The sealed bytes were made with another key, or for another owner or purpose."""

"""The request about usage, and how its answer is read; no I/O."""

from nmtune_client._http.calls import parser
from nmtune_client._http.wire import Call, Route
from nmtune_client._usage.values import Usage

_USAGE = Route("GET", "/usage")


def read_usage() -> Call[Usage]:
    """What the tenant of the key uses."""
    return Call(route=_USAGE, parse=parser(Usage.from_json))

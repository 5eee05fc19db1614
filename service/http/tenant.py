"""Who asks: the one place that says whose data a request may see and make."""

from starlette.types import Scope

from store.names import DEFAULT_TENANT


def tenant_of(scope: Scope) -> str:  # noqa: ARG001  keys will be read from it
    """The owner of all that the request may see and make; there is one until keys exist."""
    return DEFAULT_TENANT

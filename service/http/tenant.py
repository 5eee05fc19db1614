"""Who asks: the only place that says whose data a request may see and create."""

from starlette.types import Scope

from store.names import DEFAULT_TENANT


def tenant_of(scope: Scope) -> str:  # noqa: ARG001  it will hold keys
    """The owner of everything that the request may see and create; one until keys exist."""
    return DEFAULT_TENANT

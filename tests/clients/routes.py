"""Every route that the client has a call for, found by looking through its modules."""

import importlib
import pkgutil

import nmtune_client
from nmtune_client._http.wire import Route


def routes_of_the_client() -> set[Route]:
    """The routes that its modules name."""
    names = [
        found.name
        for found in pkgutil.walk_packages(nmtune_client.__path__, "nmtune_client.")
        if "calls" in found.name or found.name.endswith("_provider_keys")
    ]
    modules = map(importlib.import_module, names)
    return {
        value for module in modules for value in vars(module).values() if isinstance(value, Route)
    }

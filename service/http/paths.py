"""What a path says of a request before any route is looked up."""

from typing import Final

from starlette.types import Scope

PREDICT: Final = "/predict"
PROTOCOL: Final = "/v2"
"""Below it the Open Inference Protocol is spoken."""
PROBES: Final = frozenset({"/livez", "/readyz", "/v2/health/live", "/v2/health/ready"})
"""Whoever asks reaches these, and as often as they like."""


def path_of(scope: Scope) -> str:
    """The path below the one that a proxy or an application serves us at."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def is_prediction(path: str) -> bool:
    """Whether a POST to the path predicts."""
    return path == PREDICT or (path.startswith("/v2/models/") and path.endswith("/infer"))


def is_protocol(path: str) -> bool:
    """Whether the path belongs to the Open Inference Protocol."""
    return path == PROTOCOL or path.startswith(f"{PROTOCOL}/")

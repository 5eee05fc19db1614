"""The requests about keys for embedding providers."""

from nmtune_client._http.calls import body, nothing, params_of
from nmtune_client._http.wire import Call, Route

_SET_PROVIDER_KEY = Route("PUT", "/provider-keys")
_LIST_PROVIDER_KEYS = Route("GET", "/provider-keys")
_DELETE_PROVIDER_KEY = Route("DELETE", "/provider-keys")


def set_provider_key(origin: str, key: str) -> Call[None]:
    """Store a key for a provider."""
    return Call(
        route=_SET_PROVIDER_KEY,
        parse=nothing,
        headers={"Content-Type": "application/json"},
        content=body({"origin": origin, "key": key}),
    )


def list_provider_keys() -> Call[list[str]]:
    """The origins for which keys are stored."""
    return Call(
        route=_LIST_PROVIDER_KEYS,
        parse=lambda answer: [item["origin"] for item in answer.json()["items"]],
    )


def delete_provider_key(origin: str) -> Call[None]:
    """Delete a key."""
    return Call(route=_DELETE_PROVIDER_KEY, parse=nothing, params=params_of(origin=origin))

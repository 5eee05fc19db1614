"""The requests about keys of the API, and how their answers are read; no I/O."""

from collections.abc import Sequence

from nmtune_client._http.calls import body, page_of, params_of, parser
from nmtune_client._http.values import Page
from nmtune_client._http.wire import Call, Route
from nmtune_client._keys.values import ApiKey, Identity, NewApiKey

_CREATE_KEY = Route("POST", "/keys")
_LIST_KEYS = Route("GET", "/keys")
_GET_KEY = Route("GET", "/keys/{key_id}")
_REVOKE_KEY = Route("DELETE", "/keys/{key_id}")
_ROTATE_KEY = Route("POST", "/keys/{key_id}/rotate")
_WHO_ASKS = Route("GET", "/identity")

_JSON = {"Content-Type": "application/json"}


def create_key(
    name: str,
    scopes: Sequence[str],
    *,
    heads: Sequence[str] | None,
    expires_in_seconds: float | None,
) -> Call[NewApiKey]:
    """Make a key; sent once, for the answer to a second try could not be the first key."""
    wanted: dict[str, object] = {"name": name, "scopes": list(scopes)}
    if heads is not None:
        wanted["heads"] = list(heads)
    wanted["expires_in_seconds"] = "never" if expires_in_seconds is None else expires_in_seconds
    return Call(
        route=_CREATE_KEY,
        parse=parser(NewApiKey.from_json),
        headers=_JSON,
        content=body(wanted),
        once=True,
    )


def list_keys(*, cursor: str | None, limit: int | None) -> Call[Page[ApiKey]]:
    """A page of keys, newest first."""
    return Call(
        route=_LIST_KEYS,
        parse=page_of(ApiKey.from_json),
        params=params_of(cursor=cursor, limit=limit),
    )


def get_key(key_id: str) -> Call[ApiKey]:
    """What is known of a key."""
    return Call(route=_GET_KEY, ids={"key_id": key_id}, parse=parser(ApiKey.from_json))


def revoke_key(key_id: str, *, force: bool) -> Call[ApiKey]:
    """End a key now."""
    return Call(
        route=_REVOKE_KEY,
        ids={"key_id": key_id},
        parse=parser(ApiKey.from_json),
        params=params_of(force="true" if force else None),
    )


def rotate_key(key_id: str, *, overlap_seconds: int) -> Call[NewApiKey]:
    """Make a key's successor; sent once, as `create_key`."""
    return Call(
        route=_ROTATE_KEY,
        ids={"key_id": key_id},
        parse=parser(NewApiKey.from_json),
        headers=_JSON,
        content=body({"overlap_seconds": overlap_seconds}),
        once=True,
    )


def who_asks() -> Call[Identity]:
    """Whose key is sent, and what it may do."""
    return Call(route=_WHO_ASKS, parse=parser(Identity.from_json))

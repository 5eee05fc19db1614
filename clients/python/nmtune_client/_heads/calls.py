"""The requests about heads, their versions and aliases, and how their answers are read; no I/O."""

from collections.abc import Mapping

from nmtune_client._heads.comparison import HeadComparison
from nmtune_client._heads.drift import Drift
from nmtune_client._heads.values import Adaptation, Head, HeadAlias, HeadVersion
from nmtune_client._http.calls import body, nothing, page_of, params_of, parser, post_headers
from nmtune_client._http.values import Page
from nmtune_client._http.wire import Call, Route

_ADAPT_HEAD = Route("POST", "/heads/{name}/adapt")
_COMPARE_VERSIONS = Route("GET", "/heads/{name}/compare")
_DELETE_HEAD = Route("DELETE", "/heads/{name}")
_DELETE_HEAD_VERSION = Route("DELETE", "/heads/{name}/versions/{version}")
_EXPORT_HEAD_VERSION = Route("GET", "/heads/{name}/versions/{version}/export")
_DELETE_ALIAS = Route("DELETE", "/heads/{name}/aliases/{alias}")
_ROLL_BACK_ALIAS = Route("POST", "/heads/{name}/aliases/{alias}/rollback")
_GET_DRIFT = Route("GET", "/heads/{name}/drift")
_ANNOTATE_HEAD_VERSION = Route("PATCH", "/heads/{name}/versions/{version}")
_LIST_ALIASES = Route("GET", "/heads/{name}/aliases")
_LIST_HEADS = Route("GET", "/heads")
_GET_HEAD = Route("GET", "/heads/{name}")
_GET_HEAD_VERSION = Route("GET", "/heads/{name}/versions/{version}")
_SELECT_ROWS = Route("POST", "/heads/{name}/select")
_SET_ALIAS = Route("PUT", "/heads/{name}/aliases/{alias}")

# The server makes the export and tries it before it sends the first byte.
_EXPORT_READ_SECONDS = 600.0
_ADAPT_READ_SECONDS = 120.0


def adapt_head(
    name: str, data: Mapping[str, object], *, idempotency_key: str | None = None
) -> Call[Adaptation]:
    """Adapt a version to labelled rows of a new domain."""
    return Call(
        route=_ADAPT_HEAD,
        ids={"name": name},
        parse=parser(Adaptation.from_json),
        headers=post_headers("application/json", idempotency_key),
        content=body(data),
        extra_read_seconds=_ADAPT_READ_SECONDS,
    )


def annotate_head_version(
    name: str, version: int, notes: Mapping[str, object]
) -> Call[HeadVersion]:
    """Note a description or tags of a version."""
    return Call(
        route=_ANNOTATE_HEAD_VERSION,
        ids={"name": name, "version": version},
        parse=parser(HeadVersion.from_json),
        headers={"Content-Type": "application/json"},
        content=body(notes),
    )


def compare_versions(name: str, before: str, after: str) -> Call[HeadComparison]:
    """Two versions of a head side by side."""
    return Call(
        route=_COMPARE_VERSIONS,
        ids={"name": name},
        parse=parser(HeadComparison.from_json),
        params={"from": before, "to": after},
    )


def delete_head(name: str, *, force: bool = False) -> Call[None]:
    """Delete all versions of a head."""
    return Call(route=_DELETE_HEAD, ids={"name": name}, parse=nothing, params=_forced(force))


def delete_head_version(name: str, version: int, *, force: bool = False) -> Call[None]:
    """Delete one version of a head."""
    ids: dict[str, str | int] = {"name": name, "version": version}
    return Call(route=_DELETE_HEAD_VERSION, ids=ids, parse=nothing, params=_forced(force))


def export_head_version(name: str, version: str, *, form: str) -> Call[None]:
    """A version as a file, to be downloaded, not sent."""
    return Call(
        route=_EXPORT_HEAD_VERSION,
        ids={"name": name, "version": version},
        parse=nothing,
        params={"format": form},
        headers={"Accept": "*/*"},
        extra_read_seconds=_EXPORT_READ_SECONDS,
    )


def select_rows(name: str, data: Mapping[str, object]) -> Call[None]:
    """Rows worth a label as a file, to be downloaded, not sent."""
    return Call(
        route=_SELECT_ROWS,
        ids={"name": name},
        parse=nothing,
        headers={"Accept": "*/*", "Content-Type": "application/json"},
        content=body(data),
        extra_read_seconds=_ADAPT_READ_SECONDS,
    )


def delete_alias(name: str, alias: str) -> Call[None]:
    """Remove an alias."""
    return Call(route=_DELETE_ALIAS, ids={"name": name, "alias": alias}, parse=nothing)


def roll_back_alias(name: str, alias: str, *, expected: int | None = None) -> Call[HeadVersion]:
    """Point an alias at what it named before."""
    return Call(
        route=_ROLL_BACK_ALIAS,
        ids={"name": name, "alias": alias},
        parse=parser(HeadVersion.from_json),
        params={} if expected is None else {"from": str(expected)},
        headers=post_headers(None),
    )


def _forced(force: bool) -> dict[str, str]:
    return {"force": "true"} if force else {}


def get_drift(
    name: str,
    *,
    version: int | None = None,
    alias: str | None = None,
    hours: int | None = None,
    by: str | None = None,
) -> Call[Drift]:
    """How rows predicted lately differ from a head's training rows."""
    return Call(
        route=_GET_DRIFT,
        ids={"name": name},
        parse=parser(Drift.from_json),
        params=params_of(version=version, alias=alias, hours=hours, by=by),
    )


def list_heads(*, cursor: str | None = None, limit: int | None = None) -> Call[Page[Head]]:
    """One page of heads."""
    return Call(
        route=_LIST_HEADS,
        parse=page_of(Head.from_json),
        params=params_of(cursor=cursor, limit=limit),
    )


def list_aliases(name: str) -> Call[Page[HeadAlias]]:
    """The aliases of a head."""
    return Call(route=_LIST_ALIASES, ids={"name": name}, parse=page_of(HeadAlias.from_json))


def get_head(name: str) -> Call[Head]:
    """One head with its versions and aliases."""
    return Call(route=_GET_HEAD, ids={"name": name}, parse=parser(Head.from_json))


def get_head_version(name: str, version: int) -> Call[HeadVersion]:
    """One version of a head."""
    ids: dict[str, str | int] = {"name": name, "version": version}
    return Call(route=_GET_HEAD_VERSION, ids=ids, parse=parser(HeadVersion.from_json))


def set_alias(name: str, alias: str, data: Mapping[str, object]) -> Call[None]:
    """Make or move an alias, or give it class shares."""
    return Call(
        route=_SET_ALIAS,
        ids={"name": name, "alias": alias},
        parse=nothing,
        headers={"Content-Type": "application/json"},
        content=body(data),
    )

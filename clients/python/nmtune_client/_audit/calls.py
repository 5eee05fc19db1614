"""The request about the audit, and how its answer is read; no I/O."""

from collections.abc import Mapping

from nmtune_client._audit.values import AuditEntry
from nmtune_client._http.calls import page_of, params_of
from nmtune_client._http.values import Page
from nmtune_client._http.wire import Call, Route

_LIST_AUDIT = Route("GET", "/audit")


def list_audit(
    wanted: Mapping[str, str | None], *, cursor: str | None, limit: int | None
) -> Call[Page[AuditEntry]]:
    """A page of acts, newest first. wanted: since, until, actor, action, target."""
    return Call(
        route=_LIST_AUDIT,
        parse=page_of(AuditEntry.from_json),
        params=params_of(**wanted, cursor=cursor, limit=limit),
    )

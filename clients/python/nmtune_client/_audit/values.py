"""One act of the audit, as the server describes it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from nmtune_client._http.values import Json, build, known_in, member, time_of
from nmtune_client._show import plain
from nmtune_client._show.reprs import Shown

AUDIT_HEADER = ("at", "actor", "action", "target", "details")


@dataclass(frozen=True, kw_only=True, repr=False)
class AuditEntry(Shown):
    """Who did what to what."""

    id: str
    action: str
    """As noun.verb, such as `alias.moved`."""
    target: str
    """An id, a name or a reference such as `pets@prod`."""
    actor_kind: str
    """key, session, operator, worker, or anyone: of a server without keys."""
    actor_id: str
    at: datetime | None = None
    outcome: str = "done"
    """done, or unchanged if all was as it was to be already."""
    request_id: str | None = None
    address: str | None = None
    """Where the request came from."""
    details: Json = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: object) -> Self:
        known = known_in(cls, data, at=time_of(data, "at"), details=member(data, "details") or {})
        return build(cls, known)

    def __str__(self) -> str:
        return f"{self.action} {self.target}"


def audit_row(entry: AuditEntry) -> tuple[str, ...]:
    """An act as a line under `AUDIT_HEADER`."""
    actor = (
        entry.actor_id
        if entry.actor_kind in (entry.actor_id, "key")
        else (f"{entry.actor_kind} {entry.actor_id}")
    )
    told = ", ".join(f"{name}={value}" for name, value in entry.details.items() if value)
    if entry.outcome != "done":
        told = f"{entry.outcome}, {told}".removesuffix(", ")
    return plain.moment(entry.at), actor, entry.action, entry.target, plain.shorten(told, 60)

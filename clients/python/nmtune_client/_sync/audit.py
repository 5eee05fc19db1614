# Written by generate_sync.py out of _async/audit.py: edit that file, then run the script.
"""`client.audit`: who did what."""

from collections.abc import Iterator
from datetime import datetime

from nmtune_client._audit.calls import list_audit
from nmtune_client._audit.values import AUDIT_HEADER, AuditEntry, audit_row
from nmtune_client._show.reprs import OfClient
from nmtune_client._sync.concurrency import listing
from nmtune_client._sync.paging import paged
from nmtune_client._sync.sender import Sender


class Audit(OfClient):
    """Who did what, for whoever has the scope `admin`."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def list(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        actor: str | None = None,
        action: str | None = None,
        target: str | None = None,
        limit: int | None = None,
    ) -> Iterator[AuditEntry]:
        """All acts that match, newest first; pages are fetched as they are reached.

        since, until: from this moment on and before that one, with time zones. actor: a key's id,
        `operator`, or a worker's name. action: such as `alias.moved`. target: such as `pets@prod`.
        """
        wanted = {
            "since": _moment("since", since),
            "until": _moment("until", until),
            "actor": actor,
            "action": action,
            "target": target,
        }
        found = paged(
            self._sender,
            lambda cursor, size: list_audit(wanted, cursor=cursor, limit=size),
            limit=limit,
        )
        return listing(found, header=AUDIT_HEADER, row=audit_row)


def _moment(name: str, moment: datetime | None) -> str | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError(f"{name} needs a time zone, got {moment.isoformat()}")
    return moment.isoformat()

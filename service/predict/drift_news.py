"""Tell webhooks when a head's drift changes: as its sums are stored, never beside a prediction."""

from typing import TYPE_CHECKING, Final

from store import drift
from store.database.connection import Transaction
from store.webhooks import outbox
from store.webhooks.outbox import EventName, Happened

if TYPE_CHECKING:
    from nmtune.trust.row_summary import RowSummary

HOURS: Final = 24
"""How far back is compared, as GET /heads/{name}/drift does unless asked otherwise."""


def tell_of_drift(tx: Transaction, tenant_id: str, sha256: str, summary: "RowSummary") -> None:
    """Tell of it if the state of the last day is another than before, in the transaction that
    stores the sums. Measures only if an endpoint listens; too few rows are no state."""
    if not outbox.is_listened_to(tx, tenant_id, EventName.DRIFT_CHANGED):
        return
    from nmtune.trust.drift import measure_drift

    total = drift.total(tx, tenant_id, sha256, n_sums=summary.n_sums, hours=HOURS)
    found = measure_drift(summary, total.n_rows, total.sums)
    if found.state not in drift.STATES:
        return
    before = drift.note_state(tx, tenant_id, sha256, found.state)
    if before is None:
        return
    for head, version in drift.versions(tx, tenant_id, sha256):
        data = {
            "head": head,
            "version": version,
            "from": before,
            "to": found.state,
            "n_rows": found.n_rows,
            "hours": HOURS,
            "path": f"/heads/{head}/drift?version={version}",
        }
        outbox.write(tx, tenant_id, Happened(EventName.DRIFT_CHANGED, data))

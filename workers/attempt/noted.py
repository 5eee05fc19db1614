"""The audit of what a training publishes by itself."""

from store.access import audit
from store.database.connection import Transaction
from store.jobs import Job


def note_published(tx: Transaction, before: Job, after: Job) -> None:
    """The audit of what a training has published by itself since `before`: its head, an alias."""
    name, number = after.head_name, after.head_version
    actor = audit.worker(after.tenant_id, after.worker or "worker")
    if number is not None and before.head_version is None:
        reference = f"{name}@{number}"
        audit.note(tx, actor, "head.published", reference, job_id=after.id, candidate=after.method)
    alias = after.alias_outcome
    has_moved = before.alias_outcome is not None and before.alias_outcome["moved"]
    if alias is not None and alias["moved"] and not has_moved:
        audit.note(
            tx,
            actor,
            "alias.moved",
            f"{name}@{alias['name']}",
            before=alias["previous_version"],
            after=alias["version"],
            job_id=after.id,
        )

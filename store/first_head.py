"""The head of a training, published as soon as it is chosen; the job goes on to its report."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from store.database.connection import Transaction
from store.events import EventType
from store.jobs import Job, move
from store.leases import hold, is_mine, lost
from store.registry import aliases, heads
from store.registry.aliases import Outcome
from store.registry.heads import NewHeadVersion
from store.states import JobKind
from store.webhooks import outbox


def publish(tx: Transaction, job: Job, *, head: NewHeadVersion, report_sha256: str) -> Job:
    """Publish the head of a running training, once; the job goes on.

    report_sha256: the report so far, which says what is missing. A head that is out already, and
    a job whose cancel was requested, stay as they are. The bytes must be stored before. Raises
    LeaseLost before anything is written.
    """
    held = hold(tx, job)
    if held.head_version is not None or held.cancel_requested_at is not None:
        return held
    return put(tx, held, head=head, report_sha256=report_sha256)


def put(tx: Transaction, held: Job, *, head: NewHeadVersion, **values: Any) -> Job:
    """Publish the head of a training whose row is held, and note it there. Raises LeaseLost."""
    published = heads.publish(
        tx,
        held.tenant_id,
        job_id=held.id,
        dataset_id=held.dataset_id,
        new=head,
        not_before=held.updated_at,
    )
    alias = None if published.alias is None else published.alias.to_dict()
    noted = {
        "alias_outcome": alias,
        "head_name": published.version.name,
        "head_version": published.version.version,
    }
    moved = move(
        tx,
        *is_mine(held),
        values=noted | values,
        event=lambda job: (EventType.HEAD_PUBLISHED, {"head": reference(job), "alias": alias}),
    )
    if moved is None:
        raise lost(held)
    return moved


def reference(job: Job) -> dict[str, object] | None:
    """The head that a job has published, as its events name it; None before, and of predictions."""
    if job.kind is JobKind.PREDICTION or job.head_version is None:
        return None
    return {"name": job.head_name, "version": job.head_version}


def explained(job: Job, error: Mapping[str, object]) -> dict[str, object]:
    """The error of a job that fails; if its head is out, with what stays and what is missing."""
    if reference(job) is None:
        return dict(error)
    stays = (
        f"Its head {job.head_name}@{job.head_version} was published before and stays; what came "
        "after it is missing: see the report."
    )
    return {**error, "message": f"{error['message']} {stays}"}


def settle_alias(tx: Transaction, held: Job, *, head: NewHeadVersion) -> dict[str, Any] | None:
    """Let the alias follow the published head now that there is a verdict; the outcome as JSON.

    One that moved with the publication stays where it is. head: the same head, with the verdict's
    advice.
    """
    if head.alias is None or held.head_name is None or held.head_version is None:
        return None
    name, alias, number = held.head_name, head.alias, held.head_version
    before = None if held.alias_outcome is None else Outcome(**held.alias_outcome)
    if before is not None and before.moved:
        return _with_verdict(before, name, head.advised_against_because).to_dict()
    heads.lock(tx, held.tenant_id, name)
    if heads.of_candidate(tx, held.tenant_id, held.id, head.method) is None:
        return _deleted(tx, held, name, alias).to_dict()
    outcome = aliases.follow(
        tx,
        held.tenant_id,
        name,
        alias,
        number,
        advised_against_because=head.advised_against_because,
    )
    if outcome.moved and outcome.previous_version != number:
        told = aliases.moved(name, alias, outcome.previous_version, number)
        outbox.write(tx, held.tenant_id, told)
    return outcome.to_dict()


def _with_verdict(before: Outcome, name: str, advised_against_because: str | None) -> Outcome:
    """The outcome of an alias that moved before the verdict was there: because it was new."""
    if before.previous_version is not None:
        return before  # it moves always
    named = f"{name}@{before.name} is new"
    if advised_against_because is None:
        return replace(before, reason=f"{named} and names version {before.version}.")
    reason = f"{named}, so it names version {before.version} although {advised_against_because}."
    return replace(before, reason=reason)


def _deleted(tx: Transaction, held: Job, name: str, alias: str) -> Outcome:
    there = aliases.named(tx, held.tenant_id, name, alias)
    return Outcome(
        name=alias,
        moved=False,
        version=there,
        previous_version=there,
        reason=f"{name}@{alias} did not move: version {held.head_version} was deleted before the "
        "job had ended.",
        command=None,
    )

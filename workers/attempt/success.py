"""The home of what a finished job leaves: a head version and its report, or an output."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from store import transitions
from store.database.connection import Transaction
from store.heads import NewHeadVersion
from store.jobs import Job
from store.states import JobKind
from store.store import Store
from workers.attempt.lineage import head_encoder, lineage
from workers.folder import OUTPUT, OUTPUT_SUMMARY, REPORT, Workdir, head_file

HEADLINES: Final = ("n_rows", "accuracy", "macro_f1", "log_loss", "ece")
"""What is kept with a head version of its metrics."""


@dataclass(frozen=True, kw_only=True)
class PublishedHead:
    """What a training publishes; the bytes are stored."""

    report_sha256: str
    head: NewHeadVersion


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What a prediction delivers; the bytes are stored."""

    output_sha256: str
    output: Mapping[str, Any]


Success: TypeAlias = PublishedHead | Predicted


def store_files(job: Job, workdir: Workdir, store: Store) -> Success:
    """Store what the child left in the folder; the row that names it comes after."""
    if job.kind is JobKind.PREDICTION:
        output = workdir.read_json(OUTPUT_SUMMARY)
        reference = workdir.move(store.artifacts, job.tenant_id, OUTPUT)
        return Predicted(output_sha256=reference.sha256, output=output)
    artifacts = store.artifacts
    report = workdir.read_json(REPORT)
    candidate = report["candidates"][job.method]
    head = workdir.put(artifacts, job.tenant_id, head_file(job.method))
    return PublishedHead(
        report_sha256=workdir.put(artifacts, job.tenant_id, REPORT).sha256,
        head=NewHeadVersion(
            name=job.name,
            sha256=head.sha256,
            size_bytes=head.size_bytes,
            method=job.method,
            n_columns=report["dataset"]["n_columns"],
            classes=report["dataset"]["classes"],
            n_parameters=candidate["n_parameters"],
            config=candidate["config"],
            metrics={
                split: {name: metrics[name] for name in HEADLINES}
                for split, metrics in candidate["metrics"].items()
            },
            lineage=lineage(report, job),
            alias=job.alias,
            encoder=head_encoder(job, store),
            advised_against_because=_advice(job, report["verdict"]),
        ),
    )


def _advice(job: Job, verdict: Mapping[str, Any]) -> str | None:
    """Why the job's alias is not to move to the head; None if it may, or moves whatever it is."""
    if job.alias_always or not verdict["advises_against"]:
        return None
    return f'the report advises against this head ("{verdict["summary"].partition(":")[0]}")'


def write(tx: Transaction, job: Job, success: Success) -> Job:
    """End the job as succeeded, with what it made. Raises LeaseLost."""
    if isinstance(success, Predicted):
        return transitions.deliver(
            tx, job, output_sha256=success.output_sha256, output=success.output
        )
    return transitions.succeed(tx, job, report_sha256=success.report_sha256, head=success.head)

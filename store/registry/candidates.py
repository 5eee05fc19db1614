"""Candidates as head versions: what the registry keeps of one, and publishing a further one.

A training publishes one of its candidates and keeps the heads of the others as files of the job
(`job_files.head_name`), so that each can become a version later without training again. Of a report
only the parts that a version keeps are read here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from store import job_files
from store.bytes.port import ArtifactRef
from store.database.connection import Transaction
from store.embedding import encoders
from store.errors import CandidatesNotReady, HeadDeleted, UnknownCandidate
from store.jobs import Job
from store.registry import heads
from store.registry.heads import HeadVersion, NewHeadVersion
from store.states import JobKind, JobStatus

HEADLINES: Final = ("n_rows", "accuracy", "macro_f1", "log_loss", "ece")
"""The metrics that a head version keeps for each split."""

_OF_MACHINE: Final = (
    "platform",
    "python_version",
    "torch_version",
    "device",
    "device_name",
    "n_threads",
)


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A candidate's version, and whether it is new."""

    version: HeadVersion
    is_new: bool


def as_version(
    job: Job,
    report: Mapping[str, Any],
    candidate: str,
    *,
    head: ArtifactRef,
    encoder: Mapping[str, Any] | None,
    alias: str | None = None,
    advised_against_because: str | None = None,
) -> NewHeadVersion:
    """What the registry keeps of a candidate of this job and report; `head` are its stored bytes.

    The store adds the job, the dataset and the hash of its data.
    """
    found, environment = report["candidates"][candidate], report["environment"]
    return NewHeadVersion(
        name=job.name,
        sha256=head.sha256,
        size_bytes=head.size_bytes,
        method=candidate,
        n_columns=report["dataset"]["n_columns"],
        classes=report["dataset"]["classes"],
        n_parameters=found["n_parameters"],
        config=found["config"],
        metrics={
            split: {name: metrics[name] for name in HEADLINES}
            for split, metrics in found["metrics"].items()
        },
        lineage={
            "job_method": job.method,  # which differs from `method` for a further candidate
            # Jobs of earlier releases did not record them.
            "class_shares": report["dataset"].get("class_shares"),
            # Embeddings that were sent as numbers have no encoder.
            "encoder": None if encoder is None else encoder["fingerprint"],
            "seed": environment["seed"],
            "nmtune_version": environment["nmtune_version"],
            "machine": {
                "worker": job.worker,
                **{name: environment.get(name) for name in _OF_MACHINE},
            },
        }
        | ({} if job.migration is None else {"migration": job.migration}),
        migrated_from=None if job.migration is None else job.migration["from_version"],
        alias=alias,
        encoder=encoder,
        advised_against_because=advised_against_because,
    )


def encoder_of(
    tx: Transaction, job: Job, report: Mapping[str, Any], candidate: str
) -> dict[str, Any] | None:
    """What a head keeps of the encoder whose vectors it judges; None for one of embeddings.

    An adapted encoder becomes known with the first head that needs it. Raises UnknownCandidate for
    a candidate whose encoder is not kept.
    """
    adapted = report["candidates"][candidate].get("adapted")
    if adapted is None:
        return encoders.of_head(tx, job.tenant_id, job.encoder)
    record = adapted["encoder"]
    if record is None:
        raise UnknownCandidate(
            f"{candidate} of job {job.id} cannot be published: it changed all weights of the "
            "encoder, which are not kept. It is there to be compared with."
        )
    kept = {name: value for name, value in record.items() if name != "identity"}
    encoders.add(
        tx,
        job.tenant_id,
        fingerprint=record["fingerprint"],
        identity=record["identity"],
        encoder={k: v for k, v in kept.items() if k not in ("fingerprint", "sketch")},
        signature=record["sketch"],
        n_columns=report["dataset"]["n_columns"],
    )
    return kept


def is_kept(report: Mapping[str, Any], candidate: str) -> bool:
    """Whether the head of a candidate can be published later: its encoder has to be kept."""
    adapted = report["candidates"][candidate].get("adapted")
    return adapted is None or adapted["encoder"] is not None


def check_succeeded(job: Job) -> None:
    """Raise CandidatesNotReady unless the job is a training that has succeeded."""
    if job.kind is not JobKind.TRAINING:
        raise CandidatesNotReady(f"Job {job.id} is a {job.kind.value}, which has no candidates.")
    if job.status is not JobStatus.SUCCEEDED:
        then = "submit it again" if job.status.is_final else "wait until it has succeeded"
        raise CandidatesNotReady(
            f"Job {job.id} is {job.status.value} and has no candidates to publish: {then}."
        )


def publish(tx: Transaction, job: Job, report: Mapping[str, Any], candidate: str) -> Publication:
    """Publish a candidate of a training that has succeeded as the next version of its head.

    One that is published already stays as it is, however many ask at once. Raises UnknownCandidate,
    HeadDeleted, and JobFileExpired or JobFileMissing if its head is not kept.
    """
    known = report.get("candidates") or {}
    if candidate not in known:
        raise UnknownCandidate(
            f"Job {job.id} has no candidate {candidate!r}. It has {', '.join(known)}."
        )
    heads.lock(tx, job.tenant_id, job.name)  # so that of two at once, one finds the other's version
    there = heads.of_candidate(tx, job.tenant_id, job.id, candidate)
    if there is not None:
        return Publication(version=there, is_new=False)
    if candidate == job.method:
        raise HeadDeleted(
            f"{job.head_name}@{job.head_version}, which the job itself published, was deleted with "
            "its bytes. Train again to have it back."
        )
    encoder = encoder_of(tx, job, report, candidate)
    file = job_files.get(
        tx, job.tenant_id, job.id, job_files.head_name(candidate), keep_meanwhile=True
    )
    new = as_version(
        job,
        report,
        candidate,
        head=ArtifactRef(sha256=file.sha256, size_bytes=file.size_bytes),
        encoder=encoder,
    )
    published = heads.publish(
        tx,
        job.tenant_id,
        job_id=job.id,
        dataset_id=job.dataset_id,
        new=new,
        not_before=job.finished_at,
    )
    return Publication(version=published.version, is_new=True)

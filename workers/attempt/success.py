"""What a finished job leaves: a head version with its lineage and report, or an output file."""

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from providers.encoder import Encoder
from store import encoders, job_files, transitions
from store.bytes.port import ArtifactRef, Artifacts
from store.database.connection import Transaction
from store.heads import NewHeadVersion
from store.job_files import NewJobFile
from store.jobs import Job
from store.states import JobKind
from store.store import Store
from workers.folder import MAP, MAP_POINTS, OUTPUT, OUTPUT_SUMMARY, REPORT, ROWS, Workdir, head_file

HEADLINES: Final = ("n_rows", "accuracy", "macro_f1", "log_loss", "ece")
"""The metrics that a head version keeps for each split."""
_OF_REPORT = ("torch_version", "device", "device_name", "n_threads")


@dataclass(frozen=True, kw_only=True)
class PublishedHead:
    """What a training publishes; the bytes are stored."""

    report_sha256: str
    head: NewHeadVersion
    files: tuple[NewJobFile, ...]
    """The job's further files."""
    undrawn: Mapping[str, bytes] = field(default_factory=dict)
    """The map and its points by file name, if the map is to be drawn; see `drawing`."""


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What a prediction delivers; the bytes are stored."""

    output_sha256: str
    output: Mapping[str, Any]


Success: TypeAlias = PublishedHead | Predicted


def store_files(job: Job, workdir: Workdir, store: Store) -> Success:
    """Store the files that the child left in the folder; a row names them later."""
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
        undrawn=_undrawn(workdir),
        files=tuple(_kept(job, workdir, artifacts)),
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
            lineage=_lineage(report, job),
            alias=job.alias,
            encoder=_head_encoder(job, store),
            advised_against_because=_advice(job, report["verdict"]),
        ),
    )


def _kept(job: Job, workdir: Workdir, artifacts: Artifacts) -> Iterator[NewJobFile]:
    """Store the further files of a training."""
    yield _job_file(job_files.ROWS, workdir.move(artifacts, job.tenant_id, ROWS))
    yield _job_file(job_files.MAP, workdir.move(artifacts, job.tenant_id, MAP))


def _undrawn(workdir: Workdir) -> dict[str, bytes]:
    """At most 5 MB: the folder does not outlast the job."""
    if not workdir.has(MAP_POINTS):
        return {}
    return {name: workdir.read_bytes(name) for name in (MAP, MAP_POINTS)}


def _job_file(name: str, reference: ArtifactRef) -> NewJobFile:
    return NewJobFile(name=name, sha256=reference.sha256, size_bytes=reference.size_bytes)


def _lineage(report: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """The lineage of the head that `job` publishes with this report, trained on this machine.

    The store adds the job, the dataset and the hash of its data. `encoder` is the fingerprint of
    the encoder of the job's texts; embeddings sent as numbers have none.
    """
    environment = report["environment"]
    return {
        "encoder": (job.encoder or {}).get("fingerprint"),
        "seed": environment["seed"],
        "nmtune_version": environment["nmtune_version"],
        "machine": {
            "worker": job.worker,
            "platform": platform.platform(),
            "python_version": platform.python_version(),
            **{name: environment[name] for name in _OF_REPORT},
        },
    }


def _head_encoder(job: Job, store: Store) -> dict[str, Any] | None:
    """The encoder that a head keeps: how to ask it, and whether it is still the same."""
    if job.encoder is None or "fingerprint" not in job.encoder:
        return None
    encoder = Encoder.from_dict(job.encoder)
    with store.database.read() as tx:
        seen = encoders.known(tx, job.tenant_id, encoder.identity)
    mine = next(one for one in seen if one.fingerprint == job.encoder["fingerprint"])
    return {**encoder.to_dict(), "fingerprint": mine.fingerprint, "sketch": mine.signature}


def _advice(job: Job, verdict: Mapping[str, Any]) -> str | None:
    """Why the job's alias must not move to the head; None if it may."""
    if job.alias_always or not verdict["advises_against"]:
        return None
    return f'the report advises against this head ("{verdict["summary"].partition(":")[0]}")'


def write(tx: Transaction, job: Job, success: Success) -> Job:
    """End the job as succeeded, with its head and files, or its output. Raises LeaseLost."""
    if isinstance(success, Predicted):
        return transitions.deliver(
            tx, job, output_sha256=success.output_sha256, output=success.output
        )
    ended = transitions.succeed(tx, job, report_sha256=success.report_sha256, head=success.head)
    job_files.add(tx, ended, success.files)
    return ended

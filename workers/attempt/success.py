"""What a finished job leaves: a head version with its lineage and report, or an output file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from store import job_files, jobs, transitions
from store.bytes.port import ArtifactRef, Artifacts
from store.database.connection import Transaction
from store.job_files import NewJobFile
from store.jobs import Job
from store.registry import candidates
from store.registry.heads import NewHeadVersion
from store.states import JobKind
from store.store import Store
from workers.attempt.lease import FirstHead
from workers.attempt.noted import note_published
from workers.folder import (
    MAP,
    MAP_POINTS,
    OUTPUT,
    OUTPUT_SUMMARY,
    PUBLISHED,
    REPORT,
    ROWS,
    Workdir,
    head_file,
)


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


_WAIT: Final = (
    "it moves only once the job has succeeded with a report that does not advise against it"
)
"""Why an alias that serves somebody does not follow a head at once."""

Success: TypeAlias = PublishedHead | Predicted


def store_files(job: Job, workdir: Workdir, store: Store) -> Success:
    """Store the files that the child left in the folder; a row names them later."""
    if job.kind is JobKind.PREDICTION:
        output = workdir.read_json(OUTPUT_SUMMARY)
        reference = workdir.move(store.artifacts, job.tenant_id, OUTPUT)
        return Predicted(output_sha256=reference.sha256, output=output)
    report = workdir.read_json(REPORT)
    return PublishedHead(
        report_sha256=workdir.put(store.artifacts, job.tenant_id, REPORT).sha256,
        undrawn=_undrawn(workdir),
        files=tuple(_kept(job, report, workdir, store.artifacts)),
        head=_version(job, report, workdir, store, advice=_advice(job, report["verdict"])),
    )


def first_head(job: Job, workdir: Workdir, report_name: str, store: Store) -> FirstHead:
    """Store the head that the child hands over, with the report so far."""
    report = workdir.read_json(report_name)
    return FirstHead(
        report_sha256=workdir.put(store.artifacts, job.tenant_id, report_name).sha256,
        head=_version(job, report, workdir, store, advice=None if job.alias_always else _WAIT),
    )


def _version(
    job: Job, report: Mapping[str, Any], workdir: Workdir, store: Store, *, advice: str | None
) -> NewHeadVersion:
    encoder = None
    if job.encoder is not None:
        with store.database.begin() as tx:
            encoder = candidates.encoder_of(tx, job, report, job.method)
    return candidates.as_version(
        job,
        report,
        job.method,
        head=workdir.put(store.artifacts, job.tenant_id, PUBLISHED),
        encoder=encoder,
        alias=job.alias,
        advised_against_because=advice,
    )


def _kept(
    job: Job, report: Mapping[str, Any], workdir: Workdir, artifacts: Artifacts
) -> Iterator[NewJobFile]:
    """Store the further files of a training: rows, map, the other candidates' heads."""
    yield _job_file(job_files.ROWS, workdir.move(artifacts, job.tenant_id, ROWS))
    yield _job_file(job_files.MAP, workdir.move(artifacts, job.tenant_id, MAP))
    for candidate in report["candidates"]:
        if candidate != job.method and candidates.is_kept(report, candidate):
            reference = workdir.move(artifacts, job.tenant_id, head_file(candidate))
            yield _job_file(job_files.head_name(candidate), reference)


def _undrawn(workdir: Workdir) -> dict[str, bytes]:
    """At most 5 MB: the folder does not outlast the job."""
    if not workdir.has(MAP_POINTS):
        return {}
    return {name: workdir.read_bytes(name) for name in (MAP, MAP_POINTS)}


def _job_file(name: str, reference: ArtifactRef) -> NewJobFile:
    return NewJobFile(name=name, sha256=reference.sha256, size_bytes=reference.size_bytes)


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
    before = jobs.get(tx, job.tenant_id, job.id)
    ended = transitions.succeed(tx, job, report_sha256=success.report_sha256, head=success.head)
    job_files.add(tx, ended, success.files)
    note_published(tx, before, ended)
    return ended

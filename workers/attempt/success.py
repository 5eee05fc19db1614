"""What a finished job leaves: a head version with its lineage and report, or an output file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from store import job_files, jobs, transitions
from store.bytes.port import ArtifactRef, Artifacts
from store.database.connection import Transaction
from store.embedding import encoders
from store.job_files import NewJobFile
from store.jobs import Job
from store.registry import candidates, heads
from store.registry.heads import NewHeadVersion
from store.states import JobKind
from store.store import Store
from workers.attempt.lease import FirstHead
from workers.attempt.noted import note_published
from workers.folder import (
    MAP,
    MAP_POINTS,
    MIGRATED,
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


@dataclass(frozen=True, kw_only=True)
class Migrated:
    """What a migration by a bridge publishes; the bytes are stored."""

    head: NewHeadVersion
    migration: Mapping[str, Any]
    """What the job's row says of it from now on."""


_WAIT: Final = (
    "it moves only once the job has succeeded with a report that does not advise against it"
)
"""Why an alias that serves somebody does not follow a head at once."""

Success: TypeAlias = PublishedHead | Predicted | Migrated


def store_files(job: Job, workdir: Workdir, store: Store) -> Success:
    """Store the files that the child left in the folder; a row names them later."""
    if job.kind is JobKind.PREDICTION:
        output = workdir.read_json(OUTPUT_SUMMARY)
        reference = workdir.move(store.artifacts, job.tenant_id, OUTPUT)
        return Predicted(output_sha256=reference.sha256, output=output)
    if job.kind is JobKind.MIGRATION:
        return _migrated(job, workdir, store)
    report = workdir.read_json(REPORT)
    return PublishedHead(
        report_sha256=workdir.put(store.artifacts, job.tenant_id, REPORT).sha256,
        undrawn=_undrawn(workdir),
        files=tuple(_kept(job, report, workdir, store.artifacts)),
        head=_version(job, report, workdir, store, advice=_advice(job, report["verdict"])),
    )


def _migrated(job: Job, workdir: Workdir, store: Store) -> Migrated:
    """Store the head that was moved; what is said of it comes from the version that it replaces."""
    found, asked = workdir.read_json(MIGRATED), job.migration or {}
    with store.database.read() as tx:
        encoder = encoders.of_head(tx, job.tenant_id, job.encoder)
        before = heads.version(tx, job.tenant_id, job.name, asked["from_version"])
    reference = workdir.put(store.artifacts, job.tenant_id, PUBLISHED)
    migration = {**asked, **found["migration"]}
    shares = found["class_shares"] or before.lineage.get("class_shares")
    told = {
        "class_shares": shares,
        "encoder": None if encoder is None else encoder["fingerprint"],
        "migration": migration,
    }
    kept = {name: one for name, one in before.lineage.items() if name != "adaptation"}
    head = NewHeadVersion(
        name=job.name,
        sha256=reference.sha256,
        size_bytes=reference.size_bytes,
        method=before.method,
        n_columns=found["n_columns"],
        classes=before.classes,
        n_parameters=found["n_parameters"],
        config=before.config,
        metrics={},  # those of the version before are of another encoder
        lineage=kept | told,
        migrated_from=before.version,
        encoder=encoder,
    )
    return Migrated(head=head, migration=migration)


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
    if isinstance(success, Migrated):
        ended = transitions.succeed(
            tx, job, report_sha256=None, head=success.head, migration=dict(success.migration)
        )
        note_published(tx, before, ended)
        return ended
    ended = transitions.succeed(tx, job, report_sha256=success.report_sha256, head=success.head)
    job_files.add(tx, ended, success.files)
    note_published(tx, before, ended)
    return ended

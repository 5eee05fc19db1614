"""Reports for people: the one file, with what its job's row knows beyond the report."""

import logging
from collections.abc import Iterator
from typing import Any

import orjson

from pages.views import report as views
from pages.views.report import Rendered
from service.jobs.schemas import Job
from store.jobs import Job as JobRecord
from store.registry.heads import HeadVersion

logger = logging.getLogger(__name__)


def known(content: bytes, job: JobRecord) -> dict[str, Any]:
    """The report with the head version that the job published, and when."""
    told = Job.of(job)
    head = None if told.head is None else f"{told.head.name}@{told.head.version}"
    return _document(content) | {"job_id": job.id, "head": head, "finished_at": job.finished_at}


def report_file(content: bytes, job: JobRecord) -> str:
    """The report as one file."""
    return "".join(parts_of(views.report_file(known(content, job)), job.id))


def bundled_report(content: bytes, version: HeadVersion) -> bytes:
    """The same for a bundle, of a report that names no rows, about the version's candidate."""
    head = f"{version.name}@{version.version}"
    known_too = {"head": head, "candidate": version.method, "finished_at": version.created_at}
    report = _document(content) | known_too
    return "".join(parts_of(views.report_file(report), version.job_id)).encode()


def parts_of(rendered: Rendered, job_id: str) -> Iterator[str]:
    """The page in parts; figures that could not be drawn are told to the log."""
    yield from rendered.parts
    if rendered.broken:
        logger.warning("report.figures_broken job_id=%s keys=%s", job_id, ",".join(rendered.broken))


def _document(content: bytes) -> dict[str, Any]:
    found: Any = orjson.loads(content)
    return found if isinstance(found, dict) else {}

"""The list of jobs: which wait, which run, what became of the others."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from pages import words
from pages.views.shell import Place, page

STATUSES: Final = ("running", "queued", "succeeded", "failed", "cancelled")
KINDS: Final = {"succeeded": "good", "failed": "bad", "cancelled": "bad"}
"""The look of a status."""


def jobs_page(found: Mapping[str, Any], place: Place, *, status: str | None, is_first: bool) -> str:
    """The page of a list, as `GET /jobs` answers it. is_first: whether it has the newest jobs."""
    cursor = found["next_cursor"]
    chosen = {"status": status} if status else {}
    return page(
        "jobs.html.jinja",
        place,
        scripts=["follow.js"],
        section="jobs",
        title=f"Jobs: {status}" if status else "Jobs",
        jobs=[line_of(job) for job in found["items"]],
        statuses=STATUSES,
        status=status,
        is_first=is_first,
        newest=f"?{urlencode(chosen)}" if chosen else "?",
        older=f"?{urlencode({**chosen, 'cursor': cursor})}" if cursor else None,
    )


def line_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """What a list says of a job."""
    status = str(job["status"])
    progress = job.get("progress") or {}
    head = job.get("head")
    error = job.get("error") or {}
    return {
        "id": job["id"],
        "name": words.clean(job["name"]),
        "status": status,
        "status_kind": KINDS.get(status, "plain"),
        "kind": job["kind"],
        "method": words.candidate(str(job["method"])),
        "fraction": progress.get("fraction") if status == "running" else None,
        "told": told(job) or words.shortened(words.clean(error.get("message") or ""), 140),
        "head": f"{head['name']}@{head['version']}" if head else "",
        "head_name": head["name"] if head else "",
        "created_at": words.time(job["created_at"]),
        "took": took(job),
    }


def told(job: Mapping[str, Any]) -> str:
    """Where an unfinished job is, in words."""
    if job.get("waiting"):
        waiting = job["waiting"]
        return f"{words.clean(waiting['message'])} It goes on at {words.time(waiting['until'])}."
    if job["status"] == "queued":
        return "waits for a worker"
    if job["status"] != "running":
        return ""
    if job.get("cancel_requested_at"):
        return "is being stopped"
    progress = job.get("progress") or {}
    parts = []
    if progress.get("candidate"):
        parts.append(words.candidate(str(progress["candidate"])))
    elif job.get("stage"):
        parts.append(words.clean(job["stage"]))
    if progress.get("epoch"):
        parts.append(f"epoch {progress['epoch']} of {progress.get('n_epochs')}")
    if words.is_number(progress.get("eta_seconds")) and progress["eta_seconds"] > 0:
        parts.append(f"about {words.seconds(progress['eta_seconds'])} left")
    return ", ".join(parts)


def took(job: Mapping[str, Any]) -> str:
    """How long an ended job ran."""
    started, finished = words.moment(job.get("started_at")), words.moment(job.get("finished_at"))
    if started is None or finished is None:
        return words.NOTHING
    return words.seconds((finished - started).total_seconds())

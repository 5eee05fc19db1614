"""A job: is it alive, how far, why did it fail?"""

from collections.abc import Mapping
from typing import Any, Final

from pages import words
from pages.views.shell import Place, page

_STAGES: Final = {
    "training": ("embedding", "loading", "training", "evaluating", "spectra", "publishing"),
    "prediction": ("embedding", "loading", "predicting", "publishing"),
}
_FINAL: Final = frozenset({"succeeded", "failed", "cancelled"})
_KINDS: Final = {"succeeded": "good", "failed": "bad", "cancelled": "bad"}


def job_page(job: Mapping[str, Any], place: Place) -> str:
    """The page of a job, as `GET /jobs/{id}` answers it."""
    status = str(job["status"])
    kind = str(job["kind"])
    stages = _STAGES.get(kind, ())
    if job.get("encoder") is None:
        stages = stages[1:]
    head = job.get("head")
    facts = [
        ("kind", kind),
        ("method", job["method"]),
        ("dataset", job["dataset_id"]),
        ("attempt", f"{job['attempt']} of at most {job['max_attempts']}"),
        ("queue", job["queue"]),
        ("created", words.time(job["created_at"])),
        ("started", words.time(job.get("started_at"))),
        ("finished", words.time(job.get("finished_at"))),
        ("published", f"{head['name']}@{head['version']}" if head else words.NOTHING),
    ]
    progress = job.get("progress") or {}
    return page(
        "job.html.jinja",
        place,
        scripts=["live.js"],
        title=words.clean(job["name"]),
        job_id=job["id"],
        status=status,
        status_kind=_KINDS.get(status, "plain"),
        is_final=status in _FINAL,
        has_report=status == "succeeded" and kind == "training",
        has_output=bool(job.get("output")),
        stages=stages,
        stage=job.get("stage"),
        fraction=progress.get("fraction"),
        told=_told(progress),
        losses=_losses(progress),
        waiting=job.get("waiting"),
        error=job.get("error"),
        alias=job.get("alias_outcome"),
        facts=[(name, words.clean(value)) for name, value in facts],
    )


def _told(progress: Mapping[str, Any]) -> str:
    """Where it is, in words."""
    parts = []
    if progress.get("candidate"):
        parts.append(words.candidate(str(progress["candidate"])))
    if progress.get("epoch"):
        parts.append(f"epoch {progress['epoch']} of {progress.get('n_epochs')}")
    if words.is_number(progress.get("eta_seconds")) and progress["eta_seconds"] > 0:
        parts.append(f"about {words.seconds(progress['eta_seconds'])} left")
    return ", ".join(parts)


def _losses(progress: Mapping[str, Any]) -> list[tuple[str, str]]:
    losses = progress.get("losses")
    if not isinstance(losses, Mapping):
        return []
    return [
        (words.clean(name).replace("_", " "), words.written(value, "number"))
        for name, value in losses.items()
    ]

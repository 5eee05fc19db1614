"""A job: is it alive, how far, why did it fail?"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from pages import words
from pages.figure import Panel
from pages.figures import history
from pages.reading import Absent
from pages.views.jobs import KINDS, told, took
from pages.views.shell import Place, page

_STAGES: Final = {
    "training": (
        *(
            "embedding",
            "ranking",
            "loading",
            "training",
            "comparing",
            "evaluating",
            "spectra",
            "publishing",
        ),
    ),
    "prediction": ("embedding", "loading", "predicting", "publishing"),
}
_FINAL: Final = frozenset({"succeeded", "failed", "cancelled"})
_ENDS: Final = {
    "job.requeued": "given back to the queue",
    "job.succeeded": "succeeded",
    "job.failed": "failed",
    "job.cancelled": "cancelled",
}

Events = Sequence[Mapping[str, Any]]


class NoCandidateError(LookupError):
    """The job has trained no such candidate; its text says which there are."""


def job_page(
    job: Mapping[str, Any],
    events: Events,
    place: Place,
    *,
    candidate: str | None = None,
    again: Mapping[str, Any] | None = None,
) -> str:
    """The page of a job, as `GET /jobs/{id}` and the list of its events answer.

    candidate: whose losses to show, by default the one that trains or trained last. again: the
    settings that make the same job again, None where there are none. Raises NoCandidateError.
    """
    status, kind = str(job["status"]), str(job["kind"])
    stages = [stage for stage in _STAGES.get(kind, ()) if stage not in _left_out(job)]
    names, panel = _losses(events, candidate)
    is_final = status in _FINAL
    return page(
        "job.html.jinja",
        place,
        scripts=["live.js"] if not is_final else [],
        section="jobs",
        title=words.clean(job["name"]),
        job_id=job["id"],
        status=status,
        status_kind=KINDS.get(status, "plain"),
        is_final=is_final,
        is_stopping=bool(job.get("cancel_requested_at")) and not is_final,
        report_status=job.get("report_status"),
        has_output=bool(job.get("output")),
        stages=stages,
        stage=job.get("stage"),
        fraction=(job.get("progress") or {}).get("fraction"),
        told=told(job) if status == "running" else "",
        waiting=job.get("waiting"),
        error=job.get("error"),
        alias=job.get("alias_outcome"),
        head=job.get("head"),
        publishable=_publishable(job),
        again=urlencode(_again(job, again)) if again is not None else None,
        candidates=names,
        candidate=panel.key if panel else "",
        panel=panel,
        attempts=_attempts(events),
        events=[_line(event) for event in events if event["type"] != "job.progress"],
        n_progress=sum(event["type"] == "job.progress" for event in events),
        last_event=events[-1]["id"] if events else None,
        dataset_id=job["dataset_id"],
        facts=[(name, words.clean(value)) for name, value in _facts(job)],
        settings=_settings(job),
    )


def _left_out(job: Mapping[str, Any]) -> set[str]:
    """The stages that the job does not go through."""
    compared = (job.get("encoders") or {}).get("compared") or ()
    embeds = job.get("encoder") is not None or any(one.get("encoder") for one in compared)
    return (set() if embeds else {"embedding"}) | (set() if compared else {"ranking"})


def _facts(job: Mapping[str, Any]) -> list[tuple[str, object]]:
    tags = ", ".join(f"{name}={value}" for name, value in (job.get("tags") or {}).items())
    head = job.get("head") if job["kind"] == "prediction" else None
    facts = [
        ("kind", job["kind"]),
        ("predicts with", f"{head['name']}@{head['version']}" if head else None),
        ("method", words.candidate(str(job["method"]))),
        ("compares", ", ".join(map(_encoder, (job.get("encoders") or {}).get("compared") or ()))),
        ("goes on with", (job.get("encoders") or {}).get("chosen")),
        ("analyses", ", ".join(job["config"].get("analyses") or ()).replace("_", " ")),
        ("alias", job.get("alias")),
        ("attempt", f"{job['attempt']} of at most {job['max_attempts']}"),
        ("queue", job["queue"]),
        ("priority", job.get("priority")),
        ("created", words.time(job["created_at"])),
        ("started", words.time(job.get("started_at"))),
        ("finished", words.time(job.get("finished_at"))),
        ("took", took(job)),
        ("note", job.get("description")),
        ("tags", tags),
    ]
    return [(name, value) for name, value in facts if value not in (None, "", words.NOTHING, 0)]


def _encoder(one: Mapping[str, Any]) -> str:
    return f"{one['name']} (dropped out)" if one.get("error") else str(one["name"])


def _publishable(job: Mapping[str, Any]) -> list[str]:
    """The candidates that could be published besides the one that was."""
    if job["status"] != "succeeded" or job["kind"] != "training":
        return []
    names = (job["config"].get("configs") or {}) if isinstance(job["config"], Mapping) else {}
    return [str(name) for name in names if name != job["method"]]


def _again(job: Mapping[str, Any], settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The query of `/ui/new` that prepares the same job."""
    pairs = [("dataset_id", job["dataset_id"]), ("name", job["name"]), ("method", job["method"])]
    if job.get("alias"):
        pairs.append(("alias", job["alias"]))
    if not job["config"].get("compare", True):
        pairs.append(("compare", "false"))
    pairs += [("analyses", one) for one in job["config"].get("analyses") or ()]
    encoder = job.get("encoder") or {}
    pairs += [
        (f"provider.{field}", str(encoder[name]))
        for field, name in (("name", "provider"), ("model", "model"), ("base_url", "base_url"))
        if encoder.get(name)
    ]
    return [*pairs, *([("config", json.dumps(settings))] if settings else [])]


def _losses(events: Events, candidate: str | None) -> tuple[list[str], Panel | None]:
    """The candidates that have losses, and the plots of the one looked at."""
    epochs: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        data = event["data"]
        if event["type"] == "job.started":
            epochs.clear()  # another attempt tells its epochs anew
        elif event["type"] == "job.progress" and data.get("candidate") and data.get("losses"):
            epochs.setdefault(str(data["candidate"]), []).append(data)
    if candidate is not None and candidate not in epochs:
        there = f"It has {words.listed(list(epochs))}." if epochs else "It has none so far."
        raise NoCandidateError(f"The job has told no losses of such a candidate. {there}")
    if not epochs:
        return [], None
    shown = candidate or list(epochs)[-1]
    try:
        panel = history.draw({"candidates": {shown: {"history": epochs[shown]}}}, shown).panels[0]
        _ = panel.drawn  # it is drawn when it is asked for: here, where a failure is caught
    except (Absent, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return list(epochs), None  # a figure that cannot be drawn takes no page with it
    return list(epochs), panel


def _attempts(events: Events) -> list[dict[str, str]]:
    """When each attempt began and how it ended."""
    attempts: list[dict[str, str]] = []
    for event in events:
        data, kind = event["data"], event["type"]
        if kind == "job.started":
            number = words.clean(data.get("attempt", len(attempts) + 1))
            began = words.time(event["created_at"])
            attempts.append({"number": number, "began": began, "ended": "", "how": "runs"})
        elif kind in _ENDS and attempts and not attempts[-1]["ended"]:
            why = _why(data)
            attempts[-1]["ended"] = words.time(event["created_at"])
            attempts[-1]["how"] = f"{_ENDS[kind]}: {why}" if why else _ENDS[kind]
    return attempts


def _line(event: Mapping[str, Any]) -> tuple[str, str, str]:
    """An event of the list: when, what, and what it says."""
    kind, data = str(event["type"]), event["data"]
    if kind == "job.stage":
        told_of = words.clean(data.get("stage", ""))
    elif kind == "job.started":
        told_of = f"attempt {words.clean(data.get('attempt', ''))}"
    elif isinstance(data.get("head"), Mapping) and "error" not in data:
        told_of = words.clean(f"{data['head'].get('name')}@{data['head'].get('version')}")
    else:
        told_of = _why(data)
    what = words.clean(kind.removeprefix("job.").replace("_", " "))
    return words.time(event["created_at"]), what, told_of


def _why(data: Mapping[str, Any]) -> str:
    """The reason that an event gives."""
    error = data.get("error") if isinstance(data.get("error"), Mapping) else data
    reason = (error or {}).get("message") or data.get("message") or data.get("reason") or ""
    return words.clean(reason).replace("_", " ") if reason else ""


def _settings(job: Mapping[str, Any]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The candidates, and of each setting its name and its value for each of them."""
    config = job["config"]
    configs = config.get("configs")
    if not isinstance(configs, Mapping):
        return ["value"], [(words.clean(name), [words.clean(config[name])]) for name in config]
    fields = list({name: 0 for one in configs.values() for name in one})
    return [words.candidate(str(name)) for name in configs], [
        (words.clean(field), [_value(one.get(field)) for one in configs.values()])
        for field in fields
    ]


def _value(value: object) -> str:
    if value is None:
        return words.NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return words.clean(f"{value:g}" if isinstance(value, float) else value)

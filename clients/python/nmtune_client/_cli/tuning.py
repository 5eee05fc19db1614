"""Home of the commands about tuning: `tune`, `jobs`."""

import json
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nmtune_client._cli import inputs
from nmtune_client._cli.output import print_json, print_list, say
from nmtune_client._cli.predictions import output_command
from nmtune_client._cli.registry import upload
from nmtune_client._datasets.sources import name_of
from nmtune_client._http.errors import APIStatusError, NotFoundError
from nmtune_client._jobs.calls import plan_job
from nmtune_client._jobs.rows import JOB_HEADER, job_row
from nmtune_client._jobs.submission import submission
from nmtune_client._show import plain as _text
from nmtune_client._sync.client import Client
from nmtune_client._sync.job import Job

_READING = (
    "embedding",
    "text",
    "label",
    "split",
    "domain",
    "group",
    "id",
    "ood_domains",
    "test_fraction",
    "split_seed",
    "merge_similar",
)

_NO_DATASET = "ds_not_sent_yet"


def tune(client: Client, arguments: Namespace) -> None:
    """Upload, submit, watch, show the result."""
    config = inputs.settings(arguments.set, arguments.preset)
    tags = inputs.tags(arguments.tag)
    if arguments.name is None and not arguments.source.startswith("ds_"):
        arguments.name = name_of(Path(arguments.source))
    if arguments.name is None and not arguments.plan:
        raise ValueError("--name is required: what the head shall be called")
    if arguments.alias_always and arguments.alias is None:
        raise ValueError("--alias-always needs --alias, which it moves whatever the verdict says")
    provider = _provider(arguments)
    if arguments.text is not None and provider is None:
        raise ValueError("--text needs --provider, which embeds the texts")
    fields = {
        "name": arguments.name,
        "provider": provider,
        "method": arguments.method,
        "config": config,
        "analyses": arguments.analyse,
        "alias": arguments.alias,
        "alias_always": arguments.alias_always,
        "description": arguments.description,
        "tags": tags,
        "queue": arguments.queue,
        "priority": arguments.priority,
    }
    dataset = None
    # an id is no file name, but a file may be called like an id
    if Path(arguments.source).exists() or not arguments.source.startswith("ds_"):
        inputs.check_file(Path(arguments.source))
        _check_before_upload(client, fields)
        dataset = upload(client, arguments)
    else:
        _refuse_reading(arguments)
    try:
        if arguments.plan:
            _show_plan(client, arguments, dataset.id if dataset else arguments.source, fields)
            return
        job = client.jobs.create(dataset=dataset or arguments.source, **fields)
    except APIStatusError:
        if dataset is not None:
            say(f"The dataset is stored: {dataset.id} can stand for the file next time.")
        raise
    if arguments.wait:
        say(f"Submitted {job.id}. Ctrl-C stops watching, not the job.")
        _watch(job, arguments, warned=dataset is not None)
    elif arguments.json:
        print_json(job.data.raw)
    else:
        say(f"Submitted; watch it with: nmtune jobs wait {job.id}")
        print(job.id)


def _check_before_upload(client: Client, fields: Mapping[str, Any]) -> None:
    """Let the server refuse what it can tell without rows, before they are sent.

    It is asked what a job on a dataset that is not there would do: it looks for that one last.
    """
    asked = submission(
        dataset=_NO_DATASET,
        embeddings=None,
        labels=None,
        splits=None,
        merge_similar=False,
        texts=None,
        **fields,
    )
    with suppress(NotFoundError):
        client.send(plan_job(asked.data))


def _refuse_reading(arguments: Namespace) -> None:
    """A stored dataset was read when it was uploaded: say so, rather than leave options out."""
    given = [name for name in _READING if getattr(arguments, name) is not None]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ValueError(
            f"{arguments.source} is stored, and {options} say how a file is read: leave them out, "
            "or give the file in place of the id"
        )


def _show_plan(
    client: Client,
    arguments: Namespace,
    dataset_id: str,
    fields: Mapping[str, Any],
) -> None:
    asked = {name: fields[name] for name in ("provider", "method", "config", "analyses")}
    plan = client.jobs.plan(dataset_id, **asked)
    if arguments.json:
        print_json(plan)
        return
    print(plan)


def _provider(arguments: Namespace) -> dict[str, Any] | None:
    """What embeds texts, out of --provider and what goes with it."""
    if arguments.provider is None:
        return None
    found = {
        "name": arguments.provider,
        "model": arguments.model,
        "base_url": arguments.base_url,
        "dimensions": arguments.dimensions,
        "price_per_million_tokens": arguments.price,
    }
    return {name: value for name, value in found.items() if value is not None}


def _watch(job: Job, arguments: Namespace, *, warned: bool = False) -> None:
    """Wait with a progress bar, then show the report, or as JSON the job with its report.

    Of a prediction it shows the job.

    `warned`: what there is to warn of was said when the dataset went up.
    """
    job.wait(arguments.timeout, progress=True)
    if job.kind == "prediction":  # a whole file's, which has an output in place of a report
        _show(job, arguments)
        say(f"Fetch its output with: {output_command(job.data)}")
        return
    report = job.report()
    if arguments.json:
        print_json({"job": job.data.raw, "report": report.raw})
        return
    say("")
    print(report.text(with_warnings=not warned))
    if job.head is not None:
        outcome = job.data.alias_outcome
        has_moved = job.data.alias and (outcome is None or outcome["moved"])
        alias = f" = {job.head.name}@{job.data.alias}" if has_moved else ""
        what = "FILE.npy" if job.encoder is None else "--text '...'"
        say(f"\nPublished {job.head}{alias}. Try: nmtune predict {job.head} {what}")


def wait_for_job(client: Client, arguments: Namespace) -> None:
    """`nmtune jobs wait`"""
    _watch(client.jobs.get(arguments.job), arguments)


def list_jobs(client: Client, arguments: Namespace) -> None:
    """`nmtune jobs`"""
    print_list(
        client.jobs.list(status=arguments.status, limit=arguments.limit),
        as_json=(lambda job: job.data.raw) if arguments.json else None,
        header=JOB_HEADER,
        row=job_row,
        none="No jobs.",
    )


def show_job(client: Client, arguments: Namespace) -> None:
    """`nmtune jobs show`"""
    _show(client.jobs.get(arguments.job), arguments)


def cancel_job(client: Client, arguments: Namespace) -> None:
    """`nmtune jobs cancel`"""
    job = client.jobs.cancel(arguments.job)
    _show(job, arguments)
    if not job.is_final:
        say("Cancel requested; the job stops within seconds.")


def _show(job: Job, arguments: Namespace) -> None:
    if arguments.json:
        print_json(job.data.raw)
        return
    data = job.data
    facts = {
        "job": data.id,
        "name": data.name,
        "status": data.status,
        "stage": None if data.is_final else data.stage,
        "progress": _progress(job),
        "method": "prediction" if data.kind == "prediction" else data.method,
        "dataset": data.dataset_id,
        "head": data.head,
        "alias": (data.alias_outcome or {}).get("reason") or data.alias,
        "attempt": f"{data.attempt} of {data.max_attempts}" if data.attempt > 1 else None,
        "waiting": _waiting(data.waiting),
        "error": _error(data.error or {}),
        "created": _text.moment(data.created_at),
        "started": _text.moment(data.started_at),
        "finished": _text.moment(data.finished_at),
    }
    print(_text.columns([[name, str(value)] for name, value in facts.items() if value]))


def _error(error: Mapping[str, Any]) -> str:
    code = f"[{error['code']}]" if error.get("code") else ""
    return f"{error.get('message', '')} {code}".strip()


def _waiting(waiting: Mapping[str, Any] | None) -> str | None:
    return f"until {waiting.get('until')}: {_error(waiting)}" if waiting else None


def _progress(job: Job) -> str | None:
    progress = job.progress
    if progress is None or progress.fraction is None or job.is_final:
        return None
    eta = "" if progress.eta_seconds is None else f", ETA {_text.duration(progress.eta_seconds)}"
    return f"{100 * progress.fraction:.0f}%{eta}"


def show_events(client: Client, arguments: Namespace) -> None:
    """`nmtune jobs events`: a line an event; with --json a JSON object a line, as it comes."""
    for event in client.jobs.get(arguments.job).events(follow=arguments.follow):
        if arguments.json:
            created_at = event.created_at.isoformat() if event.created_at else None
            line = {"id": event.id, "type": event.type, "data": event.data}
            print(json.dumps(line | {"created_at": created_at}, ensure_ascii=False), flush=True)
        else:
            data = json.dumps(event.data, ensure_ascii=False) if event.data else ""
            print(f"{event.id}  {event.type:<20}  {data}".rstrip(), flush=True)

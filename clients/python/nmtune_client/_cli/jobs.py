"""`nmtune jobs`: list, show, wait for and cancel jobs, and fetch what a prediction wrote."""

import argparse
import json
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from nmtune_client import Client, Job
from nmtune_client._cli.predict_file import output_command, save_output
from nmtune_client._cli.shared.options import (
    NO_DEFAULT,
    Subparsers,
    add_actions,
    add_limit,
    add_waiting,
    declare,
)
from nmtune_client._cli.shared.output import print_json, print_list, say
from nmtune_client._jobs.rows import JOB_HEADER, job_row
from nmtune_client._show import plain


def add_jobs(commands: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare `nmtune jobs` and its actions."""
    jobs = declare(commands, shared, "jobs", list_jobs, "list, show, wait for or cancel jobs")
    actions = add_actions(jobs)
    listing = declare(actions, shared, "list", list_jobs, "list jobs, newest first (default)")
    for parser, default in ((jobs, {"default": None}), (listing, NO_DEFAULT)):
        parser.add_argument("--status", metavar="S", help="only jobs of this status", **default)
    add_limit(jobs, listing)
    for name, command, text in (
        ("show", show_job, "show a job"),
        ("wait", wait_for_job, "watch a job to its end, then show what it found"),
        ("cancel", cancel_job, "ask that a job be cancelled"),
        ("events", show_events, "show a job's history"),
    ):
        action = declare(actions, shared, name, command, text)
        action.add_argument("job", metavar="JOB", help="id of the job")
        if name == "wait":
            add_waiting(action)
        if name == "events":
            action.add_argument(
                "--follow", action="store_true", help="go on as events come, to the job's end"
            )
    output = declare(actions, shared, "output", save_output, "fetch what a job predicted")
    output.add_argument("job", metavar="JOB", help="id of a prediction job that succeeded")
    output.add_argument("file", metavar="FILE", nargs="?", help="where to (NAME-JOB.parquet)")


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


def wait_for_job(client: Client, arguments: Namespace) -> None:
    """`nmtune jobs wait`"""
    watch(client.jobs.get(arguments.job), arguments)


def cancel_job(client: Client, arguments: Namespace) -> None:
    """`nmtune jobs cancel`"""
    job = client.jobs.cancel(arguments.job)
    _show(job, arguments)
    if not job.is_final:
        say("Cancel requested; the job stops within seconds.")


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


def watch(job: Job, arguments: Namespace, *, warned: bool = False) -> None:
    """Wait with a progress bar, then show the report, or as JSON the job with its report.

    Of a prediction it shows the job.

    `warned`: what there is to warn of was said when the dataset went up.
    """
    job.wait(arguments.timeout, until=arguments.until, progress=True)
    if job.status != "succeeded":
        _show_first_head(job, arguments)
        return
    if job.kind == "prediction":  # a whole file's, which has an output in place of a report
        _show(job, arguments)
        say(f"Fetch its output with: {output_command(job.data)}")
        return
    if job.kind == "migration":  # by a bridge: the job itself has what was found
        _show(job, arguments)
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


def _show_first_head(job: Job, arguments: Namespace) -> None:
    """A head that was waited for, of a job that goes on, or that ended without its report."""
    if arguments.json:
        print_json(job.data.raw)
        return
    print(job.head)
    if job.is_final:
        say(f"The job is {job.status}, but its head stays. See: nmtune jobs show {job.id}")
    else:
        say(f"It can predict. The job goes on to its report: nmtune jobs wait {job.id}")


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
        "report": data.report_status if data.report_status != "complete" else None,
        "alias": (data.alias_outcome or {}).get("reason") or data.alias,
        "attempt": f"{data.attempt} of {data.max_attempts}" if data.attempt > 1 else None,
        "waiting": _waiting(data.waiting),
        "error": _error(data.error or {}),
        "created": plain.moment(data.created_at),
        "started": plain.moment(data.started_at),
        "finished": plain.moment(data.finished_at),
    }
    print(plain.columns([[name, str(value)] for name, value in facts.items() if value]))


def _error(error: Mapping[str, Any]) -> str:
    code = f"[{error['code']}]" if error.get("code") else ""
    return f"{error.get('message', '')} {code}".strip()


def _waiting(waiting: Mapping[str, Any] | None) -> str | None:
    return f"until {waiting.get('until')}: {_error(waiting)}" if waiting else None


def _progress(job: Job) -> str | None:
    progress = job.progress
    if progress is None or progress.fraction is None or job.is_final:
        return None
    eta = "" if progress.eta_seconds is None else f", ETA {plain.duration(progress.eta_seconds)}"
    return f"{100 * progress.fraction:.0f}%{eta}"

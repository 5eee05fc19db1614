"""The command `report`: what a job found, as text and as files."""

import sys
from argparse import ArgumentParser, Namespace

from nmtune_client._cli.shared.options import Subparsers, declare
from nmtune_client._cli.shared.output import print_json, say
from nmtune_client._report.report import Report
from nmtune_client._report.suspects import write_csv
from nmtune_client._sync.client import Client


def add_report(commands: Subparsers, shared: ArgumentParser) -> None:
    """Declare `nmtune report`."""
    found = declare(commands, shared, "report", show_report, "show what a job found")
    found.add_argument("job", metavar="JOB", help="id of a job that succeeded")
    found.add_argument("--full", action="store_true", help="the whole report, not 25 lines")
    found.add_argument(
        "--html",
        metavar="FILE",
        help="write the report's page, one file that any browser opens, or - for standard output",
    )
    found.add_argument(
        "--suspects",
        metavar="FILE.csv",
        help="write the rows whose label is suspected, or - for standard output: file_row, id, "
        "text, given, suggested, score",
    )


def show_report(client: Client, arguments: Namespace) -> None:
    """`nmtune report`"""
    _check_standard_output(arguments)
    report = client.jobs.report(arguments.job)
    if arguments.html is not None:
        _write_page(report, arguments.html)
    if arguments.suspects is not None:
        _write_suspects(report, arguments.suspects)
    if arguments.json:
        print_json(report.raw)
    elif arguments.full or (arguments.html is None and arguments.suspects is None):
        print(report.text(full=arguments.full))


def _check_standard_output(arguments: Namespace) -> None:
    files = (("--html", arguments.html), ("--suspects", arguments.suspects))
    printed = [f"{option} -" for option, path in files if path == "-"]
    if len(printed) > 1:
        raise ValueError("--html - and --suspects - cannot share standard output: name a file")
    if printed and (arguments.json or arguments.full):
        raise ValueError(
            f"{printed[0]} is all that standard output gets: leave out --json and --full, or name "
            "a file"
        )


def _write_page(report: Report, path: str) -> None:
    if path == "-":
        sys.stdout.buffer.write(report.html().encode())  # as the page itself says, UTF-8
    else:
        report.save_html(path)
        say(f"Wrote the report's page to {path}.")


def _write_suspects(report: Report, path: str) -> None:
    suspects = report.suspects
    place = "standard output" if path == "-" else path
    if path == "-":
        write_csv(suspects, sys.stdout)
    else:
        report.suspects_csv(path)
    n_all = (report.findings.get("label_errors") or {}).get("n_suspected", len(suspects))
    rows = "row" if len(suspects) == 1 else "rows"
    of_all = f", the worst of {n_all:,}" if n_all > len(suspects) else ""
    say(f"Wrote {len(suspects):,} suspected {rows}{of_all} to {place}.")
    if not suspects:
        say("The job suspects no label, or had too few rows to cross-validate.")
    elif all(one.file_row is None for one in suspects):
        say(
            "Their places in your file are not known: the data set was stored by an earlier "
            "version. Upload it again and train to have them."
        )

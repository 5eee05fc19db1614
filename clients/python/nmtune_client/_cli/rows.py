"""The command `rows`: the rows behind a job's numbers, shown or written to a file."""

import argparse
import csv
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from nmtune_client import Client, Job, JobRow
from nmtune_client._cli.shared.options import Subparsers, declare, positive
from nmtune_client._cli.shared.output import print_list, say
from nmtune_client._http.download import downloading
from nmtune_client._job_rows.values import ROW_HEADER, row_line

_SHOWN = 20
_COLUMNS = tuple(one.name for one in fields(JobRow) if one.name != "neighbours")


def add_rows(commands: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare `nmtune rows`."""
    found = declare(commands, shared, "rows", show_rows, "show the rows behind a job's numbers")
    found.add_argument("job", metavar="JOB", help="id of a job that succeeded")
    for name, metavar, text in (
        ("only", "WHICH", "errors, correct, suspected (labels that look wrong), gained or lost"),
        ("split", "SPLIT", "only rows of this split, such as test or ood/web"),
        ("label", "CLASS", "only rows with this label"),
        ("predicted", "CLASS", "only rows that are predicted as this"),
        ("candidate", "NAME", "whose predictions; without it those of the published head"),
        ("against", "NAME", "the candidate to compare with, for gained and lost"),
    ):
        found.add_argument(f"--{name}", metavar=metavar, help=text)
    found.add_argument(
        "--sort",
        metavar="VALUE",
        help="label_probability, predicted_probability, ood_score or set_size, as "
        "--sort=-ood_score from the greatest down; suspicion with --only suspected",
    )
    found.add_argument(
        "--limit", metavar="N", type=positive(int), help=f"at most N ({_SHOWN}, or all with --out)"
    )
    found.add_argument(
        "--out", metavar="FILE", help="write them to FILE.parquet (all that match) or FILE.csv"
    )


def show_rows(client: Client, arguments: Namespace) -> None:
    """`nmtune rows`"""
    ending = None if arguments.out is None else Path(arguments.out).suffix.lower()
    if ending not in (None, ".parquet", ".csv"):
        raise ValueError(f"--out {arguments.out} shows no format: end it with .parquet or .csv")
    if ending == ".parquet" and (arguments.sort or arguments.limit):
        raise ValueError(
            "a Parquet file holds all matching rows in the order of the splits: leave out --sort "
            "and --limit, or write a .csv"
        )
    job = client.jobs.get(arguments.job)
    names = ("only", "split", "label", "predicted", "candidate", "against")
    filters = {name: getattr(arguments, name) for name in names}
    if ending == ".parquet":
        say(f"Wrote {job.save_rows(arguments.out, **filters)}.")
    elif ending == ".csv":
        n_rows = _write_csv(job, Path(arguments.out), arguments, filters)
        say(f"Wrote {n_rows:,} {'row' if n_rows == 1 else 'rows'} to {arguments.out}.")
    else:
        print_list(
            job.rows(**filters, sort=arguments.sort, limit=arguments.limit or _SHOWN),
            as_json=_as_json if arguments.json else None,
            header=ROW_HEADER,
            row=row_line,
            none="No row matches.",
        )


def _as_json(row: JobRow) -> Mapping[str, Any]:
    return {name: one for name, one in asdict(row).items() if name in _COLUMNS}


def _write_csv(job: Job, path: Path, arguments: Namespace, filters: Mapping[str, Any]) -> int:
    n_rows = 0
    with downloading(path) as part, part.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for row in job.rows(**filters, sort=arguments.sort, limit=arguments.limit):
            values = (getattr(row, name) for name in _COLUMNS)
            writer.writerow(["" if value is None else value for value in values])
            n_rows += 1
    return n_rows

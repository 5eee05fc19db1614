"""`nmtune datasets rows`, `correct` and `append`: a dataset's rows, and new datasets made of it."""

import argparse
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from nmtune_client import Client
from nmtune_client._cli.shared import inputs
from nmtune_client._cli.shared.options import (
    FILE,
    Subparsers,
    add_columns,
    add_keep,
    declare,
    positive,
)
from nmtune_client._cli.shared.output import print_list, say
from nmtune_client._cli.shared.shown_dataset import show, warn
from nmtune_client._datasets.corrections import read_csv
from nmtune_client._datasets.rows import ROW_HEADER, row_row
from nmtune_client._show import plain

_CORRECTIONS = (
    "CSV file with the columns split and row, or file_row, or id; and label, or drop (1: leave out)"
)


def add_revisions(actions: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare the actions on the rows of a dataset."""
    rows = declare(actions, shared, "rows", list_rows, "show rows with label, id and text")
    rows.add_argument("dataset", metavar="DATASET", help="id of the dataset")
    rows.add_argument("--split", metavar="S", help="only the rows of this split")
    rows.add_argument("--rows", metavar="N,N", type=_numbers, help="only these rows of the split")
    rows.add_argument("--limit", metavar="N", type=positive(int), help="at most N (20)", default=20)
    correct = declare(
        actions, shared, "correct", correct_dataset, "make a dataset with corrected labels"
    )
    correct.add_argument("dataset", metavar="DATASET", help="id of the dataset, which stays")
    correct.add_argument("source", metavar="FILE.csv", help=_CORRECTIONS)
    append = declare(actions, shared, "append", append_rows, "make a dataset with rows added")
    append.add_argument("dataset", metavar="DATASET", help="id of the dataset, which stays")
    append.add_argument("source", metavar="FILE", help=FILE)
    add_columns(append)
    for action in (correct, append):
        action.add_argument("--note", metavar="TEXT", help="a note on what was changed, for people")
        action.add_argument("--name", help="name of the new dataset (the old one's)")
        add_keep(action)


def list_rows(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets rows`"""
    dataset = client.datasets.get(arguments.dataset)
    limit = None if arguments.rows is not None else arguments.limit
    print_list(
        dataset.rows(arguments.split, rows=arguments.rows, limit=limit),
        as_json=asdict if arguments.json else None,
        header=ROW_HEADER,
        row=row_row,
        none="No rows.",
    )


def correct_dataset(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets correct`"""
    path = Path(arguments.source)
    inputs.check_file(path, holds="corrections")
    labels, drop = read_csv(path)
    dataset = client.datasets.get(arguments.dataset).correct(
        labels, drop, note=arguments.note, name=arguments.name, keep_seconds=arguments.keep
    )
    say(f"Made {dataset.id} of {arguments.dataset}, which stays as it is.")
    warn(dataset, arguments)
    show(dataset, arguments)


def append_rows(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets append`"""
    path = Path(arguments.source)
    inputs.check_file(path)
    say(f"Uploading {path}, {plain.size(path.stat().st_size)} ...")
    dataset = client.datasets.get(arguments.dataset).append(
        path,
        embedding=arguments.embedding,
        text=arguments.text,
        label=arguments.label,
        split=arguments.split,
        domain=arguments.domain,
        id=arguments.id,
        note=arguments.note,
        name=arguments.name,
        keep_seconds=arguments.keep,
        progress=True,
    )
    say(f"Made {dataset.id} of {arguments.dataset}, which stays as it is.")
    warn(dataset, arguments)
    show(dataset, arguments)


def _numbers(text: str) -> list[int]:
    """Read row numbers with commas, as argparse's `type`."""
    if not all(part.strip().isdecimal() for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"must be row numbers such as 422,17, got {text!r}")
    return [int(part) for part in text.split(",")]

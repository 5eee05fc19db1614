"""`nmtune heads select`: which rows to label next."""

import argparse
from argparse import Namespace
from pathlib import Path

from nmtune_client import Client
from nmtune_client._cli.shared import inputs
from nmtune_client._cli.shared.head_names import name_and_version
from nmtune_client._cli.shared.options import FILE, Subparsers, declare, positive
from nmtune_client._cli.shared.output import print_json, say

_KEPT_SECONDS = 24 * 3600


def add_select(actions: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare `nmtune heads select`."""
    text = "choose the rows of a file that are worth a label"
    select = declare(actions, shared, "select", select_rows, text)
    select.add_argument("head", metavar="HEAD", help="pets (latest version), pets@3 or pets@prod")
    select.add_argument("source", metavar="FILE", help=f"rows without labels, a {FILE}")
    select.add_argument(
        "--rows", type=positive(int), default=100, metavar="N", help="how many at most (100)"
    )
    select.add_argument(
        "--ood-share",
        type=float,
        metavar="S",
        help="the share that goes to rows unlike the training rows (0.2)",
    )
    select.add_argument("--format", choices=("jsonl", "csv"), default="jsonl", help="(jsonl)")
    select.add_argument("--seed", type=int, default=0, metavar="N", help="of the draws (0)")
    select.add_argument(
        "--output", "-o", metavar="FILE", help="where to (HEAD-VERSION-to-label.jsonl)"
    )
    for column in ("embedding", "text", "id"):
        select.add_argument(f"--{column}", metavar="COLUMN", help=f"the column of the {column}")


def select_rows(client: Client, arguments: Namespace) -> None:
    """`nmtune heads select`: uploads the rows, which expire after a day; prints the file's path"""
    name, version = name_and_version(arguments.head)
    path = Path(arguments.source)
    inputs.check_file(path, holds="rows")
    dataset = client.datasets.upload(
        path,
        unlabelled=True,
        keep_seconds=_KEPT_SECONDS,
        embedding=arguments.embedding,
        text=arguments.text,
        id=arguments.id,
    )
    found = client.heads.select(
        name,
        dataset,
        n_rows=arguments.rows,
        version=version or "latest",
        ood_share=arguments.ood_share,
        format=arguments.format,
        seed=arguments.seed,
        path=arguments.output,
    )
    say(f"Chose from {dataset.n_rows:,} rows. Fill in label, then: nmtune datasets append")
    if arguments.json:
        print_json({"path": str(found), "dataset_id": dataset.id})
    else:
        print(found)

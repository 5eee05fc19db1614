"""`nmtune datasets`: list, upload, show, keep and delete; the rest is in `_cli.revisions`."""

import argparse
from argparse import Namespace
from pathlib import Path

from nmtune_client import Client, Dataset
from nmtune_client._cli.revisions import add_revisions
from nmtune_client._cli.shared import inputs
from nmtune_client._cli.shared.options import (
    FILE,
    Subparsers,
    add_actions,
    add_keep,
    add_limit,
    add_reading,
    declare,
)
from nmtune_client._cli.shared.output import print_json, print_list, say
from nmtune_client._cli.shared.shown_dataset import show, warn
from nmtune_client._datasets.files import names_in
from nmtune_client._datasets.rows import DATASET_HEADER, dataset_row
from nmtune_client._show import plain


def add_datasets(commands: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare `nmtune datasets` and its actions."""
    datasets = declare(
        commands,
        shared,
        "datasets",
        list_datasets,
        "list, upload or delete datasets",
    )
    actions = add_actions(datasets)
    listing = declare(
        actions, shared, "list", list_datasets, "list datasets, newest first (default)"
    )
    add_limit(datasets, listing)
    upload = declare(actions, shared, "upload", upload_dataset, "store a dataset file")
    upload.add_argument("source", metavar="FILE", help=FILE)
    upload.add_argument("--name", help="name of the dataset (the file's)")
    add_keep(upload)
    add_reading(upload)
    keep = declare(actions, shared, "keep", keep_dataset, "say how long a dataset is kept")
    keep.add_argument("dataset", metavar="DATASET", help="id of the dataset")
    keep.add_argument("time", metavar="TIME", help="from now, such as 12h or 7d; or forever")
    for name, command, text in (
        ("show", show_dataset, "show a dataset and its splits"),
        ("delete", delete_dataset, "delete a dataset"),
    ):
        action = declare(actions, shared, name, command, text)
        action.add_argument("dataset", metavar="DATASET", help="id of the dataset")
    add_revisions(actions, shared)


def list_datasets(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets`"""
    print_list(
        client.datasets.list(limit=arguments.limit),
        as_json=(lambda dataset: dataset.raw) if arguments.json else None,
        header=DATASET_HEADER,
        row=dataset_row,
        none="No datasets.",
    )


def show_dataset(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets show`"""
    show(client.datasets.get(arguments.dataset), arguments)


def upload_dataset(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets upload`"""
    show(upload(client, arguments), arguments)


def upload(client: Client, arguments: Namespace) -> Dataset:
    """Store a file, saying before that it may take a while, and then what the server warns of."""
    path = Path(arguments.source)
    inputs.check_file(path)
    if path.is_file():
        say(f"Uploading {path}, {plain.size(path.stat().st_size)} ...")
    domains = arguments.ood_domains
    if domains is not None:
        domains = [] if domains == "none" else names_in(domains)
    dataset = client.datasets.upload(
        path,
        name=arguments.name,
        embedding=arguments.embedding,
        text=arguments.text,
        label=arguments.label,
        split=arguments.split,
        domain=arguments.domain,
        group=arguments.group,
        id=arguments.id,
        ood_domains=domains,
        test_fraction=arguments.test_fraction,
        split_seed=arguments.split_seed,
        merge_similar=bool(arguments.merge_similar),
        keep_seconds=arguments.keep,
        progress=True,
    )
    width = f"{dataset.n_columns} columns" if dataset.n_columns else "texts"
    say(f"Uploaded {dataset.id}: {dataset.n_rows} rows, {width}, {len(dataset.classes)} classes.")
    warn(dataset, arguments)
    return dataset


def keep_dataset(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets keep`"""
    seconds = None if arguments.time == "forever" else plain.seconds_of(arguments.time)
    show(client.datasets.keep(arguments.dataset, seconds), arguments)


def delete_dataset(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets delete`"""
    client.datasets.delete(arguments.dataset)
    if arguments.json:
        print_json({"id": arguments.dataset, "deleted": True})
    else:
        say(f"Deleted {arguments.dataset}.")

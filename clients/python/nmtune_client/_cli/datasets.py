"""`nmtune datasets`: list, upload, show, keep and delete datasets."""

import argparse
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from nmtune_client import Client, Dataset
from nmtune_client._cli import inputs
from nmtune_client._cli.options import (
    FILE,
    Subparsers,
    add_actions,
    add_keep,
    add_limit,
    add_reading,
    declare,
)
from nmtune_client._cli.output import print_json, print_list, say
from nmtune_client._cli.words import for_command_line
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
    _show(client.datasets.get(arguments.dataset), arguments)


def upload_dataset(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets upload`"""
    _show(upload(client, arguments), arguments)


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
    for warning in dataset.warnings:
        text = warning.get("message", warning) if isinstance(warning, Mapping) else warning
        say(f"Warning: {for_command_line(str(text), arguments)}")
    return dataset


def keep_dataset(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets keep`"""
    seconds = None if arguments.time == "forever" else plain.seconds_of(arguments.time)
    _show(client.datasets.keep(arguments.dataset, seconds), arguments)


def delete_dataset(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets delete`"""
    client.datasets.delete(arguments.dataset)
    if arguments.json:
        print_json({"id": arguments.dataset, "deleted": True})
    else:
        say(f"Deleted {arguments.dataset}.")


def _show(dataset: Dataset, arguments: Namespace) -> None:
    if arguments.json:
        print_json(dataset.raw)
        return
    facts = [
        ["dataset", dataset.id],
        ["name", dataset.name],
        ["rows", str(dataset.n_rows)],
        ["columns", str(dataset.n_columns)],
        ["classes", str(len(dataset.classes))],
        ["size", plain.size(dataset.size_bytes)],
        ["created", plain.moment(dataset.created_at)],
    ]
    if dataset.expires_at is not None:
        facts.append(["expires", plain.moment(dataset.expires_at)])
    splits = [["split", "rows"], *([split.name, str(split.n_rows)] for split in dataset.splits)]
    print(f"{plain.columns(facts)}\n\n{plain.columns(splits, right=(1,))}")

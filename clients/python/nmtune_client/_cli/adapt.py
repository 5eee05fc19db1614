"""`nmtune heads adapt`: a head for a new domain from a few labelled rows."""

import argparse
from argparse import Namespace
from pathlib import Path

from nmtune_client import Client
from nmtune_client._cli.shared import inputs
from nmtune_client._cli.shared.head_names import name_and_version
from nmtune_client._cli.shared.options import FILE, Subparsers, add_columns, add_notes, declare
from nmtune_client._cli.shared.output import print_json, say

_KEPT_SECONDS = 24 * 3600


def add_adapt(actions: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare `nmtune heads adapt`."""
    text = "adapt a head to a few labelled rows of a new domain"
    adapt = declare(actions, shared, "adapt", adapt_head, text)
    adapt.add_argument("head", metavar="HEAD", help="pets (latest version), pets@3 or pets@prod")
    adapt.add_argument("source", metavar="FILE", help=f"10 to 10,000 labelled rows, a {FILE}")
    adapt.add_argument("--alias", metavar="A", help="an alias to point at the new version")
    add_columns(adapt)
    add_notes(adapt)


def adapt_head(client: Client, arguments: Namespace) -> None:
    """`nmtune heads adapt`: uploads the rows, which expire after a day, and says what was won"""
    name, version = name_and_version(arguments.head)
    path = Path(arguments.source)
    inputs.check_file(path, holds="rows")
    columns = ("embedding", "text", "label", "split", "domain", "id")
    dataset = client.datasets.upload(
        path,
        keep_seconds=_KEPT_SECONDS,
        **{column: getattr(arguments, column) for column in columns},
    )
    found = client.heads.adapt(
        name,
        dataset=dataset,
        version=version or "latest",
        alias=arguments.alias,
        description=arguments.description,
        tags=inputs.tags(arguments.tag) or None,
    )
    if arguments.json:
        print_json(found.raw)
        return
    print(found.reason)
    if found.version is None:
        say("No version was published.")
        return
    alias = f" = {name}@{arguments.alias}" if arguments.alias else ""
    print(f"{found.version}{alias}")

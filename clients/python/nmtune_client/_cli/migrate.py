"""`nmtune heads migrate`: take a head to another encoder, and compare it with the one before."""

import argparse
from argparse import Namespace
from pathlib import Path
from typing import Any

from nmtune_client import Client, Job
from nmtune_client._cli.shared import inputs
from nmtune_client._cli.shared.head_names import name_and_version
from nmtune_client._cli.shared.options import (
    Subparsers,
    add_notes,
    add_provider,
    declare,
    positive,
    provider_of,
)
from nmtune_client._cli.shared.output import print_json, say

_KEPT_SECONDS = 7 * 24 * 3600


def add_migrate(actions: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare `nmtune heads migrate`."""
    migrate = declare(
        actions, shared, "migrate", migrate_head, "take a head to another encoder of texts"
    )
    migrate.add_argument("head", metavar="HEAD", help="pets (latest version), pets@3 or pets@prod")
    add_provider(migrate)
    migrate.add_argument(
        "--bridge",
        metavar="FILE",
        help="a file of texts, or the id of a stored one, if the head's own texts are not kept",
    )
    migrate.add_argument("--text", metavar="COLUMN", help="the column of the bridge's texts")
    migrate.add_argument("--label", metavar="COLUMN", help="the column of its labels, if any")
    migrate.add_argument(
        "--force", action="store_true", help="publish although moved and old head agree too little"
    )
    migrate.add_argument(
        "--plan", action="store_true", help="say what it would do and cost, and do nothing"
    )
    migrate.add_argument(
        "--no-wait", dest="wait", action="store_false", help="submit, print the job's id and leave"
    )
    migrate.add_argument(
        "--timeout", metavar="S", type=positive(float), help="seconds to wait at most"
    )
    add_notes(migrate)


def migrate_head(client: Client, arguments: Namespace) -> None:
    """`nmtune heads migrate`: submits, watches, and says what changed; no alias moves"""
    name, version = name_and_version(arguments.head)
    provider = provider_of(arguments)
    if provider is None:
        raise ValueError("--provider is required: the encoder to go to")
    asked: dict[str, Any] = {
        "provider": provider,
        "version": version or "latest",
        "bridge": _bridge(client, arguments),
    }
    if arguments.plan:
        plan = client.heads.plan_migration(name, **asked)
        print_json(plan) if arguments.json else print(plan)
        return
    tags = inputs.tags(arguments.tag) or None
    notes = {"description": arguments.description, "tags": tags}
    job = client.heads.migrate(name, force=arguments.force, **notes, **asked)
    if not arguments.wait:
        print_json(job.data.raw) if arguments.json else print(job.id)
        return
    say(f"Submitted {job.id}. Ctrl-C stops watching, not the job.")
    job.wait(arguments.timeout, progress=True)
    _show(client, name, job, arguments)


def _bridge(client: Client, arguments: Namespace) -> str | None:
    """The id of the bridge, which is uploaded if it is a file."""
    named: str | None = arguments.bridge
    if named is None or named.startswith("ds_"):
        return named
    path = Path(named)
    inputs.check_file(path, holds="texts")
    columns = {"text": arguments.text or "text", "label": arguments.label}
    unlabelled = arguments.label is None
    return client.datasets.upload(
        path, keep_seconds=_KEPT_SECONDS, unlabelled=unlabelled, **columns
    ).id


def _show(client: Client, name: str, job: Job, arguments: Namespace) -> None:
    """What the new version is beside the one that it replaces."""
    if job.head is None:
        return
    before = (job.data.migration or {})["from_version"]
    found = client.heads.compare(name, before, job.head.version)
    if arguments.json:
        print_json({"job": job.data.raw, "comparison": found.raw})
        return
    print(found)
    alias = f"nmtune heads alias {name} prod {job.head.version}"
    say(f"\nPublished {job.head}; no alias moved. To let prod name it: {alias}")

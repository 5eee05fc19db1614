"""The command `publish`: another candidate of a job as the next version of its head."""

from argparse import ArgumentParser, Namespace

from nmtune_client._cli.shared import inputs
from nmtune_client._cli.shared.options import Subparsers, add_notes, declare
from nmtune_client._cli.shared.output import print_json
from nmtune_client._sync.client import Client


def add_publish(commands: Subparsers, shared: ArgumentParser) -> None:
    """Declare `nmtune publish`."""
    text = "publish another candidate of a job, without training again"
    publish = declare(commands, shared, "publish", publish_candidate, text)
    publish.add_argument("job", metavar="JOB", help="id of a job that succeeded")
    publish.add_argument(
        "candidate", metavar="CANDIDATE", help="a candidate of its report, such as nmtune"
    )
    publish.add_argument("--alias", metavar="A", help="an alias to point at the version, e.g. prod")
    add_notes(publish)


def publish_candidate(client: Client, arguments: Namespace) -> None:
    """`nmtune publish`"""
    version = client.jobs.publish(
        arguments.job,
        arguments.candidate,
        alias=arguments.alias,
        description=arguments.description,
        tags=inputs.tags(arguments.tag) or None,
    )
    if arguments.json:
        print_json(version.raw)
        return
    alias = f" = {version.name}@{arguments.alias}" if arguments.alias else ""
    what = "FILE.npy" if version.encoder is None else "--text '...'"
    print(f"{version}{alias} is {version.method} of {arguments.job}.")
    print(f"Try: nmtune predict {version} {what}")

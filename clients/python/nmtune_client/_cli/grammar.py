"""The grammar of the `nmtune` command: its commands, in the order of its help."""

import argparse

from nmtune_client import __version__
from nmtune_client._cli.bundles import add_verify
from nmtune_client._cli.datasets import add_datasets
from nmtune_client._cli.encoders import add_encoders
from nmtune_client._cli.heads import add_heads
from nmtune_client._cli.jobs import add_jobs
from nmtune_client._cli.operate.audit import add_audit
from nmtune_client._cli.operate.keys import add_keys
from nmtune_client._cli.operate.login import add_login
from nmtune_client._cli.operate.provider_keys import add_provider_keys
from nmtune_client._cli.operate.usage import add_usage
from nmtune_client._cli.operate.webhooks import add_webhooks
from nmtune_client._cli.predict import add_predict
from nmtune_client._cli.publish import add_publish
from nmtune_client._cli.report import add_report
from nmtune_client._cli.rows import add_rows
from nmtune_client._cli.tune import add_tune
from nmtune_client._http.api_key import KEY_VARIABLE
from nmtune_client._http.server import DEFAULT_URL, URL_VARIABLE

_EPILOG = f"""\
The server is --url, or else {URL_VARIABLE} in the environment, or else {DEFAULT_URL}.
The key is {KEY_VARIABLE} in the environment, or else the one that `nmtune login` keeps.
Data goes to stdout, progress and errors go to stderr.
Exit codes: 0 done, 1 the job failed or the server refused, 2 wrong usage or input,
3 the server cannot be reached, 4 --timeout ran out while the job goes on, 130 interrupted.
"""

ADD_COMMANDS = (
    add_tune,
    add_jobs,
    add_report,
    add_rows,
    add_publish,
    add_predict,
    add_heads,
    add_datasets,
    add_encoders,
    add_provider_keys,
    add_login,
    add_keys,
    add_webhooks,
    add_audit,
    add_usage,
    add_verify,
)


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; it sets `command` to the function to call."""
    # SUPPRESS: an option given before the command must not be undone by its default after it
    shared = _shared(url=argparse.SUPPRESS, json=argparse.SUPPRESS)
    parser = argparse.ArgumentParser(
        prog="nmtune",
        description="Tune heads on frozen embeddings with an NMTune server.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_shared(url=None, json=False)],
    )
    parser.add_argument("--version", action="version", version=f"nmtune-client {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add_command in ADD_COMMANDS:
        add_command(commands, shared)
    return parser


def _shared(*, url: str | None, json: str | bool) -> argparse.ArgumentParser:
    """The options that may stand before and behind a command, with their defaults."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--url", metavar="URL", default=url, help="address of the server")
    parser.add_argument("--json", action="store_true", default=json, help="print JSON for machines")
    return parser

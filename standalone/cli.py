"""The `nmtune-server` command line: its options and help; `commands` does the work."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, get_args

from standalone import PROGRAM, LogFormat, LogLevel
from standalone.times import lifetime, limit, overlap, words
from workers import machine

if TYPE_CHECKING:
    Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

DESCRIPTION = """\
Tune heads on frozen embeddings and serve their predictions over HTTP.

On one machine, `nmtune-server up` is all you need: API, worker and SQLite in one process.
To scale out, run `migrate` once, then `api` and any number of `worker` processes.
"""
EPILOG = """\
Environment variables NMTUNE_<NAME> hold all settings, such as NMTUNE_DATABASE_URL, NMTUNE_DEVICE
(auto, cpu, cuda) or NMTUNE_SLOTS; command-line options take precedence. Exit status: 0 after a
clean stop, 1 after an error (the message says what to do), 2 for a wrong option or setting.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    given = _parser().parse_args(arguments)
    # --help and --version must not wait for database, web server and torch.
    from standalone import commands

    return commands.run(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {machine.VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = _common()
    network = _network()
    processes = _processes()
    commands.add_parser(
        "up",
        parents=[common, network, processes],
        help="run API, worker and database in one process",
        description="Run the API, a worker and the database (SQLite by default) in one process, "
        "after bringing the schema up to date.",
    )
    commands.add_parser(
        "api",
        parents=[common, network, processes],
        help="run only the HTTP API",
        description="Run only the HTTP API; jobs wait for a `worker` process.",
    )
    commands.add_parser(
        "worker",
        parents=[common],
        help="run only a worker",
        description="Run only a worker, which processes the jobs of the same database.",
    )
    commands.add_parser(
        "migrate",
        parents=[common],
        help="bring the database's schema up to date",
        description="Bring the database's schema to the one that this version needs.",
    )
    examination = commands.add_parser(
        "doctor",
        parents=[common, network],
        help="check the installation",
        description="Check Python, torch, data folder, disk, database and port. The exit status is "
        "1 if a check fails.",
    )
    examination.add_argument("--json", action="store_true", help="print the findings as JSON")
    _add_keys(commands, common)
    _add_sessions(commands, common)
    _add_tenants(commands, common)
    acts = commands.add_parser(
        "audit",
        parents=[common],
        help="print who did what, as JSON lines",
        description="Print who did what in a tenant as JSON lines, newest first.",
    )
    acts.add_argument("--tenant", metavar="NAME", help="whose acts (default: the only tenant's)")
    return parser


def _add_keys(commands: "Subparsers", common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "keys",
        help="make, list, rotate and revoke keys",
        description="Make, list, rotate and revoke keys of the API, on the server's machine.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    tenant = _whose("keys")
    create = actions.add_parser("create", parents=[common, tenant], help="make a key")
    create.add_argument("name", metavar="NAME", help="what the key is for")
    create.add_argument(
        "--scopes",
        required=True,
        type=words,
        metavar="A,B",
        help="predict, read, write, admin; each holds those before it",
    )
    create.add_argument(
        "--heads", type=words, metavar="A,B", help="the only heads that it predicts with"
    )
    create.add_argument(
        "--expires",
        type=lifetime,
        default="90d",
        metavar="TIME",
        help="how long it lives, such as 12h or 365d, or never (default: 90d)",
    )
    actions.add_parser("list", parents=[common, tenant], help="list keys, ended ones too")
    rotate = actions.add_parser(
        "rotate", parents=[common, tenant], help="make a successor; the old key ends soon"
    )
    revoke = actions.add_parser("revoke", parents=[common, tenant], help="end a key now")
    for one in (rotate, revoke):
        one.add_argument("id", metavar="ID", help="the key's id, as `list` shows it")
    rotate.add_argument(
        "--overlap",
        type=overlap,
        default="24h",
        metavar="TIME",
        help="how long the old key goes on, 7d at most (default: 24h)",
    )
    revoke.add_argument(
        "--force", action="store_true", help="even if it is the last one with the scope admin"
    )


def _add_sessions(commands: "Subparsers", common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "sessions",
        help="list and end sessions of browsers",
        description="List and end sessions of browsers, on the server's machine.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    tenant = _whose("sessions")
    actions.add_parser("list", parents=[common, tenant], help="list sessions, and whose they are")
    end = actions.add_parser("end", parents=[common, tenant], help="end sessions now")
    chosen = end.add_mutually_exclusive_group(required=True)
    chosen.add_argument(
        "--by", metavar="WHO", help="those of a key's id, a member or operator, as `list` shows it"
    )
    chosen.add_argument("--all", action="store_true", help="all of the tenant")


def _whose(what: str) -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--tenant", metavar="NAME", help=f"whose {what} (default: the only tenant's)"
    )
    return options


def _add_tenants(commands: "Subparsers", common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "tenants",
        help="make, list, disable, enable and delete tenants; their limits",
        description="Make, list, disable, enable and delete tenants, show and set their limits. "
        "Each tenant sees its own data alone.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", parents=[common], help="list tenants")
    for action, text in (
        ("create", "make a tenant"),
        ("disable", "shut a tenant out; its data are kept"),
        ("enable", "let a tenant in again"),
    ):
        one = actions.add_parser(action, parents=[common], help=text)
        one.add_argument("name", metavar="NAME", help="the tenant's name")
    deletion = actions.add_parser(
        "delete",
        parents=[common],
        help="delete a tenant with all its data",
        description="Delete all rows and bytes of a tenant, and the tenant; its running jobs end "
        "first. Without --yes, only say what it has: the exit status is then 2.",
    )
    deletion.add_argument("name", metavar="NAME", help="the tenant's name")
    deletion.add_argument("--yes", action="store_true", help="delete it, for good")
    limits = actions.add_parser("limits", parents=[common], help="show or set a tenant's limits")
    limits.add_argument("name", metavar="NAME", help="the tenant's name")
    limits.add_argument(
        "--set",
        nargs="+",
        type=limit,
        metavar="LIMIT=VALUE",
        help="a number such as heads=20 or stored_bytes=50GiB, none, or default (the settings')",
    )


def _common() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="folder of the SQLite database, datasets and heads (default: nmtune-data)",
    )
    options.add_argument(
        "--log-level", choices=get_args(LogLevel), help="lowest level to log (default: info)"
    )
    options.add_argument(
        "--log-format",
        choices=get_args(LogFormat),
        help="log lines for people or for programs (default: text)",
    )
    return options


def _network() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--host", help="address to listen on (default: 127.0.0.1, only this machine)"
    )
    options.add_argument(
        "--port", type=int, help="port to listen on; 0 lets the system choose (default: 8000)"
    )
    options.add_argument(
        "--tls-cert",
        type=Path,
        metavar="FILE",
        help="certificate with its chain, in PEM form: the port then speaks https alone",
    )
    options.add_argument(
        "--tls-key", type=Path, metavar="FILE", help="its private key, in PEM form, not encrypted"
    )
    return options


def _processes() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="processes that answer requests on the port; one for each core at most is sensible "
        "(default: 1)",
    )
    return options

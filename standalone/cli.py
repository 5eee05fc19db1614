"""The home of the `nmtune-server` command: what is typed becomes settings and one call."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

import migrations
from service.settings import ServiceSettings
from standalone import doctor, logs, up
from store.errors import StoreError
from workers import machine
from workers.settings import WorkerSettings

PROGRAM = "nmtune-server"
FAILED, USAGE, INTERRUPTED = 1, 2, 130  # exit statuses

DESCRIPTION = """\
Tunes heads on frozen embeddings and serves their predictions over HTTP.

`nmtune-server up` is all one machine needs: API, worker and SQLite in one process.
For more, run `migrate` once, then `api` and any number of `worker` processes.
"""
EPILOG = """\
Every setting can also come from the environment as NMTUNE_<NAME>, such as NMTUNE_DATABASE_URL,
NMTUNE_DEVICE (auto, cpu, cuda) or NMTUNE_SLOTS; an option given here wins. Exit status: 0 after a
clean stop, 1 if something went wrong (the message says what to do), 2 for a wrong option or
setting.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    given = _parser().parse_args(arguments)
    try:
        logs.configure(logs.LogSettings(**_given(vars(given), "log_level", "log_format")))
        return _run(given)
    except ValidationError as error:
        for one in error.errors():
            name = "_".join(map(str, one["loc"]))
            print(f"{PROGRAM}: setting {name}: {one['msg']}", file=sys.stderr)
        return USAGE
    except SettingsError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return USAGE
    except (up.StartError, StoreError, OSError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(given: argparse.Namespace) -> int:
    options = vars(given)
    shared = _given(options, "data_dir")
    service = ServiceSettings(**shared, **_given(options, "host", "port"))
    workers = WorkerSettings(**shared)
    match given.command:
        case "up":
            up.up(service, workers)
        case "api":
            up.api(service, workers)
        case "worker":
            return up.worker(workers)
        case "migrate":
            migrations.upgrade(service.database_url)
            print(f"The database is at schema {migrations.head_revision()}.")
        case "doctor":
            return _doctor(service, workers, as_json=given.json)
    return 0


def _doctor(service: ServiceSettings, workers: WorkerSettings, *, as_json: bool) -> int:
    findings = doctor.examine(service, workers)
    if as_json:
        print(json.dumps([one.to_dict() for one in findings], indent=2))
    else:
        print("\n".join(map(str, findings)))
    return FAILED if any(one.status == "fail" for one in findings) else 0


def _given(options: dict[str, Any], *names: str) -> dict[str, Any]:
    """The options that were typed; the others are left to the environment and the defaults."""
    return {name: options[name] for name in names if options.get(name) is not None}


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
    commands.add_parser(
        "up",
        parents=[common, network],
        help="API, worker and database in one process",
        description="Run the API, a worker and the database (SQLite by default) in one process. "
        "The schema is brought up to date first.",
    )
    commands.add_parser(
        "api",
        parents=[common, network],
        help="the HTTP API alone",
        description="Run the HTTP API alone; jobs wait for a `worker` process.",
    )
    commands.add_parser(
        "worker",
        parents=[common],
        help="a worker alone",
        description="Run a worker alone: it trains the jobs of the same database.",
    )
    commands.add_parser(
        "migrate",
        parents=[common],
        help="bring the database's schema up to date",
        description="Bring the database's schema to the one this version needs.",
    )
    examination = commands.add_parser(
        "doctor",
        parents=[common, network],
        help="check that everything is in place",
        description="Check Python, torch, data folder, disk, database and port. Exit status 1 if "
        "anything fails.",
    )
    examination.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser


def _common() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="folder of the SQLite database, data sets and heads (default: nmtune-data)",
    )
    options.add_argument("--log-level", choices=logs.LEVELS, help="what to log (default: info)")
    options.add_argument(
        "--log-format",
        choices=logs.FORMATS,
        help="how to log: for people or programs (default: text)",
    )
    return options


def _network() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--host", help="address to listen on (default: 127.0.0.1, this machine alone)"
    )
    options.add_argument(
        "--port", type=int, help="port to listen on, 0 lets the system choose (default: 8000)"
    )
    return options

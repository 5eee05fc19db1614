"""The commands of `nmtune-server`: each reads settings and makes one call.

A command imports what it needs when it runs: a worker does without the web server, `migrate`
without both, and all but `doctor` without torch.
"""

import argparse
import json
import os
import sys
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

import migrations
from service.settings import ServiceSettings
from standalone import PROGRAM, logs
from standalone.process import StartError
from store import failpoints
from store.errors import StoreError
from workers.settings import WorkerSettings

FAILED, USAGE, INTERRUPTED = 1, 2, 130  # exit statuses


def run(given: argparse.Namespace) -> int:
    """Run the command and return its exit status; an error becomes one line on stderr."""
    try:
        failpoints.arm(os.environ.get("NMTUNE_FAILPOINT", ""))
        logs.configure(logs.LogSettings(**_given(vars(given), "log_level", "log_format")))
        return _run(given)
    except ValidationError as error:
        for one in error.errors():
            name = "_".join(map(str, one["loc"]))
            which = f"setting {name}" if name else "settings"
            print(f"{PROGRAM}: {which}: {one['msg']}", file=sys.stderr)
        return USAGE
    except SettingsError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return USAGE
    except (StartError, StoreError, OSError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(given: argparse.Namespace) -> int:
    options = vars(given)
    shared = _given(options, "data_dir")
    service = ServiceSettings(
        **shared, **_given(options, "host", "port", "processes", "tls_cert", "tls_key")
    )
    workers = WorkerSettings(**shared)
    match given.command:
        case "up" | "api" if service.processes > 1:
            from standalone import several

            several.serve(service, workers, everything=given.command == "up")
        case "up":
            from standalone import up

            up.up(service, workers)
        case "api":
            from standalone import up

            up.api(service, workers)
        case "worker":
            from standalone import worker

            return worker.worker(workers)
        case "migrate":
            migrations.upgrade(service.database_url)
            print(f"The database is at schema {migrations.head_revision()}.")
        case "keys" | "sessions" | "tenants":
            from standalone import access

            return access.run(service, given)
        case "audit":
            from standalone import audit

            audit.run(service, given)
        case "doctor":
            return _doctor(service, workers, as_json=given.json)
    return 0


def _doctor(service: ServiceSettings, workers: WorkerSettings, *, as_json: bool) -> int:
    from standalone import doctor

    findings = doctor.examine(service, workers)
    if as_json:
        print(json.dumps([one.to_dict() for one in findings], indent=2))
    else:
        print("\n".join(map(str, findings)))
    return FAILED if any(one.status == "fail" for one in findings) else 0


def _given(options: dict[str, Any], *names: str) -> dict[str, Any]:
    """The options that were typed; environment and defaults decide the others."""
    return {name: options[name] for name in names if options.get(name) is not None}

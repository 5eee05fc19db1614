"""The training process: `python -m workers.child.main WORKDIR`, one job's child.

It trains, compares encoders, predicts a whole dataset, or moves a head by a bridge, as the folder's
plan says. With `--standby` instead of WORKDIR, it waits for the folder's path on a line of stdin.

It reports to its supervisor in JSON lines on stdout; `type` is one of

    stage       `stage` has begun
    memory      the training needs `needed_bytes`, and `available_bytes` are available
    progress    an epoch is done: `progress` as the API shows it; `is_last` of its candidate
    checkpoint  `file` is a new state to continue from; the supervisor takes it away
    finished    `files` are a trained candidate, and replace the checkpoint `replaces`
    head        `file` is the head to publish; `report` is the report so far
    error       the job cannot be done: `error` has a code, and a message for the user

The report and the heads are files in WORKDIR. SIGTERM ends the process at once, with nothing to
clean up: each file is whole or absent.
"""

import hashlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from nmtune.errors import ConfigError, DataError, DivergenceError, HeadFormatError
from nmtune.numeric import runtime
from store import trouble
from store.bytes.faults import corrupt
from store.errors import StoreError
from workers import memory
from workers.child import encoders, migrate, train
from workers.child.candidate import Message
from workers.folder import (
    COMPARISON_INSTRUCTIONS,
    INSTRUCTIONS,
    LOG,
    MIGRATION_INSTRUCTIONS,
    PREDICTION_INSTRUCTIONS,
    Workdir,
)

REFUSED = 2  # exit status: an error message was sent
_RUN = {
    INSTRUCTIONS: train.run,
    COMPARISON_INSTRUCTIONS: encoders.run,
    MIGRATION_INSTRUCTIONS: migrate.run,
}


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    # Everything else that prints, even from C, goes to the log; the pipe carries only messages.
    channel = os.dup(1)
    os.dup2(2, 1)
    stage = "starting"
    try:
        workdir = Workdir(_folder())
        for message in _work(workdir):
            stage = message.get("stage", stage)
            _send(channel, message)
    except (ConfigError, DataError, DivergenceError) as error:
        description = _damage(workdir) or _describe(error)
        _send(channel, {"type": "error", "error": {**description, "stage": stage}})
        sys.exit(REFUSED)
    except HeadFormatError as error:
        description = {
            "code": error.code,
            "message": f"The stored head cannot be used: {error.message}.",
        }
        _send(channel, {"type": "error", "error": {**description, "stage": stage}})
        sys.exit(REFUSED)
    except StoreError as error:
        description = {"code": error.code, "message": str(error)}
        _send(channel, {"type": "error", "error": {**description, "stage": stage}})
        sys.exit(REFUSED)
    except OSError as error:
        if not trouble.is_disk_trouble(error):
            raise
        found = trouble.of_os_error(error, "The worker's folder cannot be used")
        description = {"code": found.code, "message": str(found)}
        _send(channel, {"type": "error", "error": {**description, "stage": stage}})
        sys.exit(REFUSED)
    except memory.InsufficientMemoryError as error:
        known = {"code": "out_of_memory", "message": str(error), "stage": stage}
        _send(channel, {"type": "error", "error": known})
        sys.exit(REFUSED)
    except (MemoryError, RuntimeError) as error:
        if not runtime.is_out_of_memory(error):
            raise
        logging.getLogger(__name__).exception("training.out_of_memory")
        _send(channel, {"type": "error", "error": {"code": "out_of_memory", "stage": stage}})
        sys.exit(REFUSED)
    # Everything is written. Shutting torch down cleanly would only keep the slot waiting.
    logging.shutdown()
    os._exit(0)


def _folder() -> Path:
    """The folder to work in: the argument, or for a standby the line it waits for."""
    if sys.argv[1] != "--standby":
        return Path(sys.argv[1])
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)  # the worker does not need it
    folder = Path(line.rstrip("\n"))
    # From here on, its output belongs to the job.
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    return folder


def _work(workdir: Workdir) -> Iterator[Message]:
    plan = _instructions(workdir)
    if plan == PREDICTION_INSTRUCTIONS:
        from workers.child import predict  # onnxruntime, which no training needs

        return predict.run(workdir)
    return _RUN[plan](workdir)


def _instructions(workdir: Workdir) -> str:
    """The file with the folder's plan. A training comes after the comparison in its folder."""
    return next(name for name in (*_RUN, PREDICTION_INSTRUCTIONS) if workdir.has(name))


def _damage(workdir: Workdir) -> dict[str, Any] | None:
    """The error to report instead if the stored rows changed: then the user is not to blame."""
    plan = workdir.read_json(_instructions(workdir))
    plans = [plan] if "dataset_path" in plan else [one["training"] for one in plan["encoders"]]
    found = (_damage_of(Path(one["dataset_path"]), one["dataset_sha256"]) for one in plans)
    return next((one for one in found if one is not None), None)


def _damage_of(path: Path, sha256: str) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return None
    except OSError:
        return None
    error = corrupt(path, sha256)
    return {"code": error.code, "message": str(error)}


def _describe(error: ConfigError | DataError | DivergenceError) -> dict[str, Any]:
    places = {name: getattr(error, name, None) for name in ("field", "row", "column")}
    known = {name: place for name, place in places.items() if place is not None}
    return {"code": error.code, "message": error.message, **known}


def _send(channel: int, message: dict[str, Any]) -> None:
    line = orjson.dumps(message) + b"\n"
    while line:
        line = line[os.write(channel, line) :]


if __name__ == "__main__":
    main()

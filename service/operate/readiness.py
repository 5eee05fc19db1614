"""Check whether the service can take requests: each thing that it needs.

Each check has its own thread and `TIMEOUT_SECONDS`, so a database that hangs neither delays the
answer nor takes threads from requests. A result is reused for `MAX_AGE_SECONDS`.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel

from store.errors import (
    QuotaExceeded,
    SchemaMismatch,
    StorageForbidden,
    StorageFull,
    StorageReadOnly,
    StoreError,
)
from store.store import Store

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 2.0
MAX_AGE_SECONDS: Final = 1.0
BROKER: Final = "broker"
MOST_TOLD: Final = 5
"""How many heads are named; a number says how many more there are."""

_NO_WRITES: Final = (StorageFull, QuotaExceeded, StorageReadOnly, StorageForbidden)

Look: TypeAlias = Callable[[], object]
"""Returns if all is well, else raises."""


class Check(BaseModel):
    """One thing that the service needs; with only a warning it still takes requests."""

    status: Literal["ok", "warning", "failed"]
    message: str | None = None


class Readiness:
    """Looks at database, migrations and artifacts, and at the broker if there is one.

    A broker that is down is a warning: the database row is the queue, and workers find it. So is a
    head that cannot be loaded: the others answer. And so is a storage that can be read but not
    written because it is full, read-only or forbidden: predictions go on, and each write says so.
    """

    def __init__(
        self,
        store: Store,
        *,
        expected_schema: str | None,
        check_broker: Look | None = None,
        head_trouble: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """head_trouble: a sentence for each head that could not be loaded, for a warning."""
        self._head_trouble = head_trouble
        self._probes = {
            "database": _Probe(store.database.ping, "The database"),
            "migrations": _Probe(lambda: _check_schema(store, expected_schema), "The database"),
            "artifacts": _Probe(store.artifacts.check, "The artifact storage"),
        }
        if check_broker is not None:
            self._probes[BROKER] = _Probe(lambda: _check_broker(check_broker), "The broker")
        self._found: dict[str, Check] = {}
        self._found_at = float("-inf")

    async def checks(self) -> Mapping[str, Check]:
        """The result of each check, within `TIMEOUT_SECONDS`."""
        if time.monotonic() - self._found_at > MAX_AGE_SECONDS:
            started = {name: probe.start() for name, probe in self._probes.items()}
            waited_for = [asyncio.wrap_future(future) for future in started.values()]
            _, late = await asyncio.wait(waited_for, timeout=TIMEOUT_SECONDS)
            for future in late:
                future.cancel()  # only our waiting: the check itself goes on
            self._found = {name: self._result(name, future) for name, future in started.items()}
            self._found_at = time.monotonic()
        return self._found | {"heads": self._heads()}

    def _heads(self) -> Check:
        trouble = self._head_trouble()
        if not trouble:
            return Check(status="ok")
        more = f" And {len(trouble) - MOST_TOLD} more." if len(trouble) > MOST_TOLD else ""
        return Check(status="warning", message=" ".join(trouble[:MOST_TOLD]) + more)

    def _result(self, name: str, future: Future[Check]) -> Check:
        check = future.result() if future.done() else self._probes[name].late()
        if name == BROKER and check.status == "failed":
            return check.model_copy(update={"status": "warning"})
        return check


class _Probe:
    """One check in its own thread, never more than one at a time."""

    def __init__(self, look: Look, what: str) -> None:
        self._look = look
        self._what = what
        self._future: Future[Check] | None = None

    def start(self) -> Future[Check]:
        """Start the check, unless an earlier one still hangs; returns its future result."""
        if self._future is None or self._future.done():
            self._future = Future()
            self._future.set_running_or_notify_cancel()
            threading.Thread(
                target=self._run, args=(self._future,), name="readiness", daemon=True
            ).start()
        return self._future

    def late(self) -> Check:
        """The result if there was no answer in time."""
        message = f"{self._what} did not answer within {TIMEOUT_SECONDS:g} seconds."
        return Check(status="failed", message=message)

    def _run(self, future: Future[Check]) -> None:
        try:
            self._look()
        except _NO_WRITES as error:
            message = (
                f"{error} Predictions go on, but uploads, trainings and outputs cannot be stored."
            )
            future.set_result(Check(status="warning", message=message))
        except StoreError as error:
            future.set_result(Check(status="failed", message=str(error)))
        except Exception:
            logger.exception("readiness.error")
            message = f"{self._what} could not be checked: the server's log has the cause."
            future.set_result(Check(status="failed", message=message))
        else:
            future.set_result(Check(status="ok"))


def _check_schema(store: Store, expected: str | None) -> None:
    found = store.database.schema_revision()
    if found is None:
        raise SchemaMismatch("The database has no schema yet: run nmtune-server migrate.")
    if expected is not None and found != expected:
        raise SchemaMismatch(
            f"The database is at revision {found}, but this service needs {expected}: run "
            "nmtune-server migrate, or use the version of the service that fits the database."
        )


def _check_broker(look: Look) -> None:
    try:
        look()
    except Exception as error:
        logger.warning("broker.unavailable error=%s", type(error).__name__)
        # Its message may hold the broker's address and password.
        raise StoreError(
            "The broker does not answer. Jobs are safe in the database; workers find them a little "
            "later, when they next look."
        ) from error

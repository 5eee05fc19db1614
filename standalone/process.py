"""What each process needs: the store at this version's schema, and signals as an event."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import migrations
from store.settings import StoreSettings
from store.store import Store

logger = logging.getLogger(__name__)


class StartError(Exception):
    """Something outside prevents the start; the message says what to do."""


@contextmanager
def open_store(settings: StoreSettings, *, writes_alone: bool = False) -> Iterator[Store]:
    """Open the store if its database is at the schema that this version needs.

    writes_alone: no other process writes its database, so that SQLite's bug with several writers
    (`sqlite_version_warning`) cannot occur.
    """
    store = Store.open(settings)
    try:
        if store.database.schema_revision() != migrations.head_revision():
            raise StartError(
                "The database's schema does not fit this version: first run `nmtune-server "
                "migrate` with the same settings."
            )
        warning = None if writes_alone else store.database.sqlite_version_warning()
        if warning is not None:
            logger.warning("database.version %s", warning)
        yield store
    finally:
        store.close()


@contextmanager
def told_to_stop(stopping: threading.Event) -> Iterator[None]:
    """Turn SIGTERM and Ctrl-C into an event while the block runs."""

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Warming looks for the first head: it ends with the server, and outlives a lost database.

That it imports what predictions need is shown on real processes, in tests/test_idle.py.
"""

import threading
from pathlib import Path

import pytest

from service.predict import warming
from service.predict.warming import Warming
from store.settings import StoreSettings
from store.store import Store


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "warming"]


def test_it_looks_until_it_is_closed(store: Store) -> None:
    found = Warming(store)
    found.start()
    assert threads()
    found.close()
    assert not threads()


def test_a_database_that_cannot_be_asked_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warming, "SECONDS", 0.01)
    looks = threading.Semaphore(0)
    store = Store.open(StoreSettings(data_dir=tmp_path))  # without a schema

    class Counting(Warming):
        def _look(self) -> bool:
            looks.release()
            return super()._look()

    found = Counting(store)
    found.start()
    for _ in range(3):
        assert looks.acquire(timeout=60)
    found.close()
    assert not threads()
    store.close()

"""The embedded mode: API and worker on one SQLite file, hammered while either is killed."""

import os
import random
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import nmtune_client
import numpy as np

from store.settings import StoreSettings
from tests.faults.deployment import Accepting, head_versions, upload
from tests.support.processes import Process

N_KILLS = int(os.environ.get("NMTUNE_KILLS", "3"))
SEED = int(os.environ.get("NMTUNE_SOAK_SEED", str(time.time_ns() % 100_000)))


class Hammer:
    """Clients who submit, predict and list as fast as answers come."""

    def __init__(self, site: Accepting, api: Process, dataset: str, x: np.ndarray) -> None:
        self.api = api
        self._site, self._dataset, self._x = site, dataset, x
        self.n_predicted = self.n_listed = 0
        self.refused: list[str] = []
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(act, pause), daemon=True)
            for act, pause in ((self._submit, 5.0), (self._predict, 0.005), (self._list, 0.005))
        ]

    def __enter__(self) -> "Hammer":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)

    def _repeat(self, act: Any, pause: float) -> None:
        while not self._stopping.wait(pause):
            api = self.api
            try:
                act(api)
            except (nmtune_client.APIConnectionError, RuntimeError):
                continue  # it was killed, its client closed with it, and the next is not up yet
            except nmtune_client.NMTuneError as error:
                self.refused.append(repr(error))

    def _submit(self, api: Process) -> None:
        self._site.submit(api, self._dataset)

    def _predict(self, api: Process) -> None:
        api.client.predict("pets@1", self._x)
        self.n_predicted += 1

    def _list(self, api: Process) -> None:
        next(iter(api.client.jobs.list(limit=50)))
        self.n_listed += 1


def test_a_hammered_file_stays_whole_whoever_is_killed(
    tmp_path: Path, arrays: dict[str, Any]
) -> None:
    dice = random.Random(SEED)
    url = f"sqlite:///{tmp_path}/data/nmtune.db"
    site = Accepting(tmp_path, StoreSettings(data_dir=tmp_path / "data", database_url=url))
    try:
        site.start("up").stop()  # makes the file
        api, worker = site.start("api"), site.start("worker")
        dataset = upload(api.client, arrays)
        site.submit(api, dataset)
        site.check()
        with Hammer(site, api, dataset, arrays["test_x"][:2]) as hammer:
            for _ in range(N_KILLS):
                time.sleep(dice.uniform(0.5, 3))
                if dice.random() < 0.5:
                    hammer.api.kill()
                    hammer.api = site.start("api")
                else:
                    worker.kill()
                    worker = site.start("worker")
            time.sleep(2)
        counts = site.check(seconds=180)
        assert hammer.refused == [], f"NMTUNE_SOAK_SEED={SEED}"
        assert min(hammer.n_predicted, hammer.n_listed) > 20
        assert counts.keys() <= {"succeeded", "failed"}
        assert head_versions(site) == counts["succeeded"]
    finally:
        site.close()
    database = sqlite3.connect(tmp_path / "data" / "nmtune.db")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    database.close()
    assert not site.complaints()

"""One server of several processes: they share port, heads, counts and ends."""

import http.client
import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from nmtune.config import TuneConfig
from nmtune.heads.head import Head, Member
from nmtune.heads.network import Network
from nmtune.heads.scaling import Scaling
from service.access.guesses import A_MINUTE
from service.settings import ServiceSettings
from store.store import Store
from tests.service.in_process import publish
from tests.standalone.servers import Server, Start
from tests.standalone.test_keys import bearer, command
from tests.support.waiting import wait_until

N_COLUMNS = 256
ROW = np.linspace(-1, 1, N_COLUMNS, dtype=np.float32).round(3)
BODY = json.dumps({"head": "pets", "embeddings": [ROW.tolist()]}).encode()


def untrained() -> Head:
    """A head whose arrays are large enough to be mapped."""
    config = TuneConfig.from_preset("reference", scaling="none")
    network = Network.initialised(
        config, n_columns=N_COLUMNS, n_classes=2, generator=torch.Generator().manual_seed(0)
    )
    head = Head([Member(network=network, scaling=Scaling(), config=config)], classes=("cat", "dog"))
    return head.with_self_test(ROW[None])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Path:
    """A data folder with the head `pets`."""
    folder = tmp_path_factory.mktemp("processes") / "data"
    folder.mkdir()
    (folder / "nmtune.db").write_bytes(sqlite_template.read_bytes())
    store = Store.open(ServiceSettings(data_dir=folder))
    publish(store, untrained().to_bytes(), name="pets")
    store.close()
    return folder


@pytest.fixture(scope="module")
def admin(folder: Path) -> str:
    return command(folder, "keys", "create", "ops", "--scopes", "admin").stdout.strip()


@pytest.fixture
def server(start: Start, folder: Path, admin: str) -> Iterator["Several"]:
    server = start("up", "--port", "0", "--processes", "2", data_dir=folder, auth="on")
    several = Several(server, admin)
    yield several
    several.disconnect()
    server.end()


class Several:
    """A server of two processes, and a connection to each."""

    def __init__(self, server: Server, key: str) -> None:
        self.server, self.key = server, key
        found = re.search(r"http://127\.0\.0\.1:(\d+)", server.ready_line())
        assert found is not None
        self.port = int(found[1])
        assert server.process.stdout is not None
        self.code = server.process.stdout.readline().rpartition("#")[2].strip()
        self.to: dict[int, http.client.HTTPConnection] = {}
        self.connect()

    def children(self) -> list[psutil.Process]:
        return list(psutil.Process(self.server.process.pid).children())

    def connect(self) -> None:
        """A connection to each of the two; a busy machine may hand the second to the first too."""
        self.disconnect()
        for _ in range(100):
            one = http.client.HTTPConnection("127.0.0.1", self.port)
            assert self.ask(one, "/livez")[0] == 200
            pid = self._pid_of(one)
            if pid in self.to:
                self.to.pop(pid).close()
            self.to[pid] = one
            if len(self.to) == 2:
                return
        raise AssertionError("one process takes all connections")

    def disconnect(self) -> None:
        for connection in self.to.values():
            connection.close()
        self.to = {}

    def _pid_of(self, connection: http.client.HTTPConnection) -> int:
        port = connection.sock.getsockname()[1]
        for child in self.children():
            for one in child.net_connections("tcp"):
                if one.raddr and one.raddr.port == port:
                    return int(child.pid)
        raise AssertionError("nobody has the connection")

    def ask(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        key: str | None = None,
    ) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json", **bearer(key or self.key)}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def predict(self, connection: http.client.HTTPConnection) -> bytes:
        status, said = self.ask(connection, "/predict", method="POST", body=BODY)
        assert status == 200, said
        return said

    def samples(self, connection: http.client.HTTPConnection) -> dict[str, float]:
        """What /metrics says, by name and labels."""
        lines = self.ask(connection, "/metrics")[1].decode().splitlines()
        pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
        return {name: float(value) for name, _, value in pairs}


PREDICTED = "nmtune_predicted_rows_total"


def test_both_answer_alike_from_one_copy_of_the_head_and_count_together(server: Several) -> None:
    one, two = server.to.values()
    said = [server.predict(connection) for connection in (one, two, two)]
    assert said[0] == said[1] == said[2]
    for connection in (one, two):
        found = server.samples(connection)
        assert found[PREDICTED] == found["nmtune_prediction_seconds_count"] == 3
        assert found["nmtune_head_cache_misses_total"] == 2
        wait_until(partial(n_connections_are, 2, server, connection))
        assert found["nmtune_sweeps_total"] >= 1, "the worker's counts are among them"
        processes = {name for name in found if name.startswith("process_resident_memory_bytes")}
        assert len(processes) == 3
    listening = [child.pid for child in server.children() if listens(child, server.port)]
    assert sorted(listening) == sorted(server.to), "the worker would keep the port open at a stop"
    for pid in server.to:
        maps = psutil.Process(pid).memory_maps(grouped=True)
        (data,) = [one for one in maps if one.path.endswith("predict.onnx.data")]
        assert data.rss >= 4 * 4 * N_COLUMNS**2 // 2, "mapped, and read from there"
        assert data.private_dirty == 0, "nothing of it is a copy"


def test_a_killed_process_is_started_again_and_what_it_counted_stays(server: Several) -> None:
    (pid, one), (_, two) = server.to.items()
    for connection in (one, one, two):
        server.predict(connection)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(pids(server) - {pid}) == 3)
    assert server.samples(two)[PREDICTED] == 3
    wait_until(lambda: "process.restart" in server.server.errors)
    wait_until(lambda: has_reached_both(server))
    one, two = server.to.values()
    server.predict(one)
    server.predict(two)
    found = server.samples(two)
    assert found[PREDICTED] == 5
    assert found["nmtune_prediction_seconds_count"] == 5
    wait_until(partial(n_connections_are, 2, server, two))


def n_connections_are(n: int, server: Several, asked: http.client.HTTPConnection) -> bool:
    """Whether that is what the process that has the connection says of all of them."""
    return server.samples(asked)["nmtune_connections"] == n


def listens(process: psutil.Process, port: int) -> bool:
    found = process.net_connections("tcp")
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in found)


def pids(server: Several) -> set[int]:
    return {child.pid for child in server.children()}


def has_reached_both(server: Several) -> bool:
    """Whether the new process accepts connections by now."""
    try:
        server.connect()
    except AssertionError:
        return False
    return True


def test_keys_and_guesses_and_the_link_are_of_the_server_not_of_a_process(server: Several) -> None:
    one, two = server.to.values()
    body = json.dumps({"name": "ci", "scopes": ["read"]}).encode()
    made = json.loads(server.ask(one, "/keys", method="POST", body=body)[1])
    for connection in (one, two):
        assert server.ask(connection, "/jobs", key=made["key"])[0] == 200
    assert server.ask(one, f"/keys/{made['id']}", method="DELETE")[0] == 200
    wait_until(lambda: server.ask(two, "/jobs", key=made["key"])[0] == 401)

    link = json.dumps({"code": server.code}).encode()
    assert server.ask(one, "/session", method="POST", body=link)[0] == 204
    assert server.ask(two, "/session", method="POST", body=link)[0] == 401

    wrong = [server.ask(which, "/jobs", key="nmk_no")[0] for which in (one, two) * A_MINUTE]
    assert wrong.count(401) <= A_MINUTE
    assert wrong[-2:] == [429, 429]
    assert server.ask(two, "/jobs")[0] == 200, "a known key goes on"


def test_a_stop_under_load_breaks_no_request(server: Several) -> None:
    broken: list[str] = []
    answered = [0] * 4

    def load(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        while True:
            try:
                connection.connect()
            except ConnectionRefusedError:
                return  # nothing was sent
            try:
                server.predict(connection)
                answered[number] += 1
            except Exception as error:  # noqa: BLE001 - each is a broken request
                broken.append(repr(error))
                return
            connection.close()

    threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: min(answered) > 20)
    family = server.children()
    assert server.server.stop() == 0
    for thread in threads:
        thread.join()
    assert not broken
    assert not any(child.is_running() for child in family)
    assert "Traceback" not in server.server.errors


def test_kill_9_of_the_parent_ends_all_and_the_next_start_cleans_up(
    start: Start, folder: Path, server: Several
) -> None:
    family = server.children()
    left = list((folder / "processes").iterdir())
    server.server.process.kill()
    wait_until(lambda: not any(child.is_running() for child in family))
    arguments = ("api", "--port", str(server.port), "--processes", "2")
    again = start(*arguments, data_dir=folder)
    assert str(server.port) in again.ready_line()
    assert not any(one.exists() for one in left)
    taken = start(*arguments, data_dir=folder)
    assert taken.exit_status() == 1
    assert f"Port {server.port} is in use" in taken.errors
    assert again.stop() == 0
    assert not list((folder / "processes").iterdir())


@pytest.mark.parametrize("n", ["0", "-1", str(4 * len(os.sched_getaffinity(0)) + 1)])
def test_a_number_of_processes_that_makes_no_sense_is_refused(folder: Path, n: str) -> None:
    done = command(folder, "api", f"--processes={n}", status=2)
    assert "setting processes" in done.stderr
    assert "at most 4 for each core" in done.stderr

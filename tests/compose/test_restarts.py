"""Predictions while each service restarts: which restarts clients notice, and for how long."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import httpx
import numpy as np
import pytest
from nmtune_client import Client, RetryPolicy

from tests.compose.stack import Stack, docker

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

Rows = np.ndarray[Any, np.dtype[np.float32]]

PAUSE_SECONDS = 0.02  # two requests at a time leave the services time to start


class Load:
    """Predictions, one after the other in two threads, without any retry of the client's."""

    def __init__(self, stack: Stack, head: str, rows: Rows) -> None:
        self.failures: list[str] = []
        self.answered_at: list[float] = []
        self._url = f"{stack.url}/predict?head={head}"
        self._content = rows.tobytes()
        self._headers = {
            "Content-Type": "application/octet-stream",
            "X-Shape": ",".join(map(str, rows.shape)),
            **stack.headers,
        }
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(2)]

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    def longest_gap(self) -> float:
        """The longest time in seconds between two good answers."""
        times = sorted(self.answered_at)
        return max(b - a for a, b in pairwise(times))

    def _ask(self) -> None:
        with httpx.Client(timeout=20, headers=self._headers) as http:
            while not self._stop.wait(PAUSE_SECONDS):
                try:
                    status = http.post(self._url, content=self._content).status_code
                except httpx.TransportError as error:
                    self.failures.append(repr(error))
                    continue
                if status == 200:
                    self.answered_at.append(time.monotonic())
                else:
                    self.failures.append(str(status))


def restart_under_load(stack: Stack, service: str, head: str, rows: Rows) -> Load:
    load = Load(stack, head, rows)
    began = time.monotonic()
    with load.running():
        stack.restart(service)
        time.sleep(1)  # what comes right after counts too
    stack.note(
        began,
        f"restart of {service} under load: {len(load.answered_at)} predictions answered, "
        f"{len(load.failures)} failed, longest gap {load.longest_gap():.1f} s",
    )
    return load


@pytest.mark.parametrize("service", ["redis", "worker", "api"])
def test_a_restart_that_no_prediction_notices(
    stack: Stack, quick_head: str, rows: Rows, service: str
) -> None:
    load = restart_under_load(stack, service, quick_head, rows)
    assert load.failures == []


@pytest.mark.parametrize("service", ["postgres", "proxy"])
def test_a_restart_that_is_felt_is_short_and_clear(
    stack: Stack, quick_head: str, rows: Rows, service: str
) -> None:
    load = restart_under_load(stack, service, quick_head, rows)
    assert load.longest_gap() < 30
    clear = {"503"} if service == "postgres" else set()
    odd = {one for one in load.failures if one.isdigit()} - clear
    assert not odd


@pytest.mark.parametrize("service", ["postgres", "proxy"])
def test_a_patient_client_sits_a_restart_out(
    stack: Stack, quick_head: str, rows: Rows, service: str
) -> None:
    done = threading.Event()

    def restart() -> None:
        stack.restart(service)
        done.set()

    thread = threading.Thread(target=restart)
    with Client(stack.url, api_key=stack.key, retry=RetryPolicy(tries=10)) as client:
        thread.start()
        while not done.is_set():
            client.predict(quick_head, rows)
        client.predict(quick_head, rows)
    thread.join()


def test_jobs_are_done_after_all_restarts(stack: Stack, client: Client, quick_head: str) -> None:
    name = quick_head.partition("@")[0]
    again = client.jobs.create(
        dataset=next(iter(client.datasets.list())).id, name=name, method="linear_probe"
    )
    assert again.wait(timeout=300).status == "succeeded"


def test_an_api_that_is_killed_takes_no_prediction_with_it(
    stack: Stack, quick_head: str, rows: Rows
) -> None:
    victim = stack.containers("api")[0]
    load = Load(stack, quick_head, rows)
    began = time.monotonic()
    with load.running():
        time.sleep(1)
        docker("kill", victim)
        time.sleep(5)
        docker("start", victim)
        stack.wait_healthy(victim)
    stack.note(
        began,
        f"kill -9 of an api container under load: {len(load.answered_at)} predictions answered, "
        f"{len(load.failures)} failed, longest gap {load.longest_gap():.1f} s",
    )
    assert load.failures == []

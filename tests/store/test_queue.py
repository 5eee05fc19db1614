"""The local doorbell."""

import threading
import time

from store.queue import LocalQueue


def test_a_ring_before_the_wait_is_heard_once() -> None:
    queue = LocalQueue()
    queue.send("job_1", "cpu")
    queue.send("job_2", "gpu")
    assert queue.wait(60) is True
    assert queue.wait(0) is False


def test_a_ring_ends_a_wait_from_another_thread() -> None:
    queue = LocalQueue()
    heard: list[bool] = []
    thread = threading.Thread(target=lambda: heard.append(queue.wait(60)))
    thread.start()
    queue.send("job_1", "cpu")
    thread.join(60)
    assert heard == [True]


def test_closing_ends_the_wait_and_all_later_ones() -> None:
    queue = LocalQueue()
    heard: list[bool] = []
    thread = threading.Thread(target=lambda: heard.append(queue.wait(60)))
    thread.start()
    queue.close()
    thread.join(60)
    assert heard == [False]
    queue.send("job_1", "cpu")
    before = time.monotonic()
    assert queue.wait(60) is False
    assert time.monotonic() - before < 30


def test_a_wait_without_a_ring_ends_in_time() -> None:
    assert LocalQueue().wait(0.001) is False

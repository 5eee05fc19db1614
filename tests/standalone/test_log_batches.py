"""Log lines that are written in batches: all, in order, with the ids of where they were logged."""

import errno
import io
import logging
import os
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from service.http.layers import request_id
from standalone import log_batches, logs
from standalone.log_batches import LogBatches, in_batches


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Where the log goes, in the form of a server's."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs._text())
    handler.addFilter(logs._about)
    root.handlers[:] = [handler]
    root.setLevel("INFO")
    monkeypatch.setattr(request_id, "_current", ContextVar("of_this_test", default=None))
    monkeypatch.setattr(log_batches, "PAUSE_SECONDS", 60.0)  # nothing is written by the clock
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def test_all_lines_are_there_at_the_end_with_their_ids(stream: io.StringIO) -> None:
    log = logging.getLogger("some.one")
    with in_batches():
        (batches,) = (one for one in logging.getLogger().handlers if isinstance(one, LogBatches))
        for number in range(3):
            request_id.bind(f"id-{number}")
            log.info("line.written n=%s", number)
        assert stream.getvalue() == ""
        batches.flush()
        log.info("line.last")
    lines = stream.getvalue().splitlines()
    assert [line.partition("[")[2] for line in lines] == [
        "id-0] line.written n=0",
        "id-1] line.written n=1",
        "id-2] line.written n=2",
        "id-2] line.last",
    ]


def test_an_error_is_written_at_once_with_what_was_before(stream: io.StringIO) -> None:
    log = logging.getLogger("some.one")
    with in_batches():
        log.info("before")
        log.error("now")
        assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["before", "now"]


def test_no_more_lines_wait_than_a_bound(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_batches, "MOST", 10)
    with in_batches():
        for number in range(25):
            logging.getLogger("some.one").info("line.written n=%s", number)
        assert len(stream.getvalue().splitlines()) == 20


def test_a_child_writes_its_own_lines_alone(stream: io.StringIO) -> None:
    with in_batches():
        logging.getLogger("some.one").info("of.parent")
        reads, writes = os.pipe()
        child = os.fork()
        if not child:
            logging.getLogger("some.one").info("of.child")
            os.write(writes, stream.getvalue().encode())
            os._exit(0)
        os.close(writes)
        with os.fdopen(reads) as told:
            (line,) = told.read().splitlines()
        os.waitpid(child, 0)
        assert line.endswith("of.child")
    assert len(stream.getvalue().splitlines()) == 1


def test_a_stream_that_cannot_be_written_ends_neither_thread_nor_caller(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write, broken = stream.write, [True]

    def maybe(text: str) -> int:
        if broken.pop() if broken else False:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(text)

    monkeypatch.setattr(stream, "write", maybe)
    with in_batches():
        logging.getLogger("some.one").error("lost")
        logging.getLogger("some.one").error("written")
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["written"]
    assert "No space left on device" in capsys.readouterr().err


def test_a_flush_writes_what_waited_not_what_comes_meanwhile(stream: io.StringIO) -> None:
    class Talkative:
        n_left = 3

        def __str__(self) -> str:
            if self.n_left:
                self.n_left -= 1
                batches.handle(record)
            return "said"

    record = logging.makeLogRecord({"msg": "%s", "args": (Talkative(),), "levelno": logging.INFO})
    with in_batches():
        (batches,) = (one for one in logging.getLogger().handlers if isinstance(one, LogBatches))
        batches.handle(record)
        batches.flush()
        assert len(stream.getvalue().splitlines()) == 1


def test_python_3_13_asks_for_no_lock(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def handle(self: Any, record: logging.LogRecord) -> None:
        with self.lock:
            self.emit(record)

    monkeypatch.setattr(logging.Handler, "handle", handle)
    with in_batches():
        logging.getLogger("some.one").info("written")
    assert stream.getvalue().split()[-1] == "written"

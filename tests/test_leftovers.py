"""The watch over the tests: it finds what a test leaves, and gives a serial test the machine."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support import leftovers
from tests.support.turns import Turns
from tests.support.waiting import wait_until

ROOT = Path(__file__).parent.parent
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
ORPHAN = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], stdout=-3, stderr=-3).pid)"


@contextmanager
def child() -> Iterator[None]:
    with subprocess.Popen(SLEEP) as process:
        yield
        process.kill()


@contextmanager
def orphan() -> Iterator[None]:
    """A process whose parent has ended."""
    made = subprocess.run(
        [sys.executable, "-c", ORPHAN, *SLEEP], capture_output=True, text=True, check=True
    )
    yield
    os.kill(int(made.stdout), signal.SIGKILL)


@contextmanager
def thread() -> Iterator[None]:
    over = threading.Event()
    made = threading.Thread(target=over.wait, name="left behind")
    made.start()
    yield
    over.set()
    made.join()


@contextmanager
def temporary_file() -> Iterator[None]:
    with tempfile.NamedTemporaryFile():
        yield


LEFT: dict[str, Callable[[], object]] = {
    "process": child,
    "process of an ended parent": orphan,
    "listening": lambda: closing(socket.create_server(("127.0.0.1", 0))),
    "thread": thread,
    "file": temporary_file,
}


@pytest.mark.parametrize("what", LEFT)
def test_what_stays_is_seen_until_it_goes(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = leftovers.State.now()
    with ExitStack() as stack:
        stack.enter_context(LEFT[what]())  # type: ignore[arg-type]
        [left] = leftovers.State.now().left_since(before)
        assert left.startswith(what.split()[0])
    assert leftovers.left_since(before) == []


def test_an_orphan_that_ended_is_no_zombie() -> None:
    made = subprocess.run(
        [sys.executable, "-c", ORPHAN, *SLEEP], capture_output=True, text=True, check=True
    )
    pid = int(made.stdout)
    assert psutil.Process(pid).ppid() == os.getpid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(pid))


def test_a_shared_server_is_not_left_behind() -> None:
    before = leftovers.State.now()
    with subprocess.Popen(SLEEP) as process:
        leftovers.share(process.pid)
        assert leftovers.State.now().left_since(before) == []
        leftovers.unshare(process.pid)
        assert len(leftovers.State.now().left_since(before)) == 1
        process.kill()


TURN = """
import sys
from pathlib import Path
from tests.support.turns import Turns
turns = Turns(Path(sys.argv[1]))
turns.take(alone=sys.argv[2] == "alone")
print("mine", flush=True)
sys.stdin.read()
"""


class Other:
    """Another process of the run, which takes a turn and gives it back when it is told to."""

    def __init__(self, folder: Path, how: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", TURN, str(folder), how],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.has_turn = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        if self.process.stdout.readline():
            self.has_turn.set()

    def end(self) -> None:
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()
        self._reader.join()


@pytest.fixture
def turns(tmp_path: Path) -> Iterator[Turns]:
    with closing(Turns(tmp_path)) as turns:
        yield turns


def test_tests_run_side_by_side_unless_one_is_serial(turns: Turns, tmp_path: Path) -> None:
    turns.take(alone=False)
    beside = Other(tmp_path, "beside")
    assert beside.has_turn.wait(60)
    serial = Other(tmp_path, "alone")
    beside.end()
    assert not serial.has_turn.wait(0.3), "we have our turn still"
    turns.give()
    assert serial.has_turn.wait(60)
    serial.end()


def test_who_waits_to_be_alone_is_not_overtaken(turns: Turns, tmp_path: Path) -> None:
    turns.take(alone=False)
    serial = Other(tmp_path, "alone")
    wait_for_the_gate(tmp_path)
    late = Other(tmp_path, "beside")
    assert not late.has_turn.wait(0.3)
    turns.give()
    assert serial.has_turn.wait(60)
    serial.end()
    assert late.has_turn.wait(60)
    late.end()


def wait_for_the_gate(folder: Path) -> None:
    """Until another process stands in the gate."""
    inode = f":{(folder / 'gate.lock').stat().st_ino} "
    wait_until(lambda: inode in Path("/proc/locks").read_text())


def test_the_turn_is_kept_for_the_next_serial_test(turns: Turns, tmp_path: Path) -> None:
    turns.take(alone=True)
    turns.take(alone=True)
    other = Other(tmp_path, "beside")
    assert not other.has_turn.wait(0.3)
    turns.give()
    assert other.has_turn.wait(60)
    other.end()

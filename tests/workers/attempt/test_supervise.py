"""Supervision with real processes: whatever a child does, its end is clear and nothing stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.places import ROOT
from tests.support.waiting import wait_until
from tests.workers.workplace import is_running
from workers.attempt.supervise import LEASH, LOG_BYTES, Ending, Outcome, supervise

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
TELL_PID = "import os, json; print(json.dumps({'pid': os.getpid()}), flush=True)\n"


def never() -> None:
    return None


class Run:
    """One supervised Python snippet and all that was seen of it."""

    def __init__(self, tmp_path: Path) -> None:
        self.messages: list[dict[str, Any]] = []
        self.log_path = tmp_path / "child.log"
        self.seconds_to_stop = 0.0

    def __call__(self, code: str, **options: Any) -> Outcome:
        return supervise(
            [sys.executable, "-c", code],
            **{
                "receive": self.messages.append,
                "should_stop": never,
                "log_path": self.log_path,
                **options,
            },
        )

    def stopped(self, code: str, ending: Ending, **options: Any) -> Outcome:
        """Run `code`, and ask it to stop as soon as it has told its process id."""
        asked_at: list[float] = []

        def should_stop() -> Ending | None:
            if not self.messages:
                return None
            asked_at.append(time.monotonic())
            return ending

        outcome = self(code, should_stop=should_stop, **options)
        self.seconds_to_stop = time.monotonic() - asked_at[0]
        return outcome


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_child_that_ends_well_is_done_and_every_message_arrives(run: Run) -> None:
    outcome = run("import json\nfor i in range(5000): print(json.dumps({'i': i}))")
    assert outcome.ending is Ending.DONE
    assert [message["i"] for message in run.messages] == list(range(5000))


def test_last_message_without_line_end_or_json_is_noise_not_a_crash(run: Run) -> None:
    outcome = run("""import sys; sys.stdout.write('hello\\n[1]\\n{"a": 1}\\n{"half": ')""")
    assert outcome.ending is Ending.DONE
    assert run.messages == [{"a": 1}]


@pytest.mark.serial  # how soon the child ends is looked at to the second
@pytest.mark.parametrize("ending", [Ending.CANCELLED, Ending.LEASE_LOST, Ending.STOPPING])
def test_busy_loop_stops_at_once_and_names_the_reason(run: Run, ending: Ending) -> None:
    outcome = run.stopped(TELL_PID + "while True: pass", ending)
    assert outcome.ending is ending
    assert run.seconds_to_stop < 2, "sooner than it would be killed"
    assert not is_running(run.messages[0]["pid"])


@pytest.mark.serial
def test_child_that_ignores_sigterm_is_killed_after_the_grace(run: Run) -> None:
    outcome = run.stopped(
        STUBBORN + TELL_PID + "while True: pass", Ending.CANCELLED, grace_seconds=0.5
    )
    assert outcome.ending is Ending.CANCELLED
    assert outcome.exit_code == -signal.SIGKILL
    assert not outcome.killed, "our own SIGKILL is no sign of too little memory"
    assert 0.4 < run.seconds_to_stop < 10


def test_child_that_never_stops_talking_is_stopped_too(run: Run) -> None:
    flood = "import sys\nwhile True: sys.stdout.write('{}\\n' * 10000)"
    outcome = run.stopped(TELL_PID + flood, Ending.CANCELLED)
    assert outcome.ending is Ending.CANCELLED
    assert run.seconds_to_stop < 30


def test_child_that_closes_its_stdout_is_still_stopped(run: Run) -> None:
    outcome = run.stopped(TELL_PID + "os.close(1)\nimport time\ntime.sleep(60)", Ending.CANCELLED)
    assert outcome.ending is Ending.CANCELLED


def test_exception_in_child_fails_with_its_traceback_in_the_log(run: Run) -> None:
    outcome = run("raise RuntimeError('the reason')")
    assert outcome.ending is Ending.FAILED
    assert outcome.exit_code == 1
    assert outcome.log_tail.endswith("RuntimeError: the reason")


def test_segfault_fails_with_the_signal(run: Run) -> None:
    outcome = run("import ctypes; ctypes.string_at(0)")
    assert (outcome.ending, outcome.exit_code) == (Ending.FAILED, -signal.SIGSEGV)
    assert not outcome.killed


def test_sigkill_from_elsewhere_is_told_apart(run: Run) -> None:
    outcome = run("import os; os.kill(os.getpid(), 9)")
    assert outcome.killed


def test_memory_limit_holds(run: Run) -> None:
    outcome = run("x = bytearray(10**9)", memory_limit=300 << 20)
    assert outcome.ending is Ending.FAILED
    assert "MemoryError" in outcome.log_tail


def test_log_stays_small(run: Run) -> None:
    code = (
        "import sys, time\n"
        "for _ in range(20):\n"
        "    sys.stderr.write('x' * (1 << 19)); sys.stderr.flush(); time.sleep(0.03)\n"
        "sys.stderr.write('the end'); sys.exit(1)"
    )
    outcome = run(code)
    assert outcome.log_tail.endswith("the end")
    assert run.log_path.stat().st_size < 6 * LOG_BYTES


def test_child_leaves_the_processor_to_others_and_has_its_own_group(run: Run) -> None:
    run("import os, json; print(json.dumps({'nice': os.nice(0), 'group': os.getpgid(0)}))")
    assert run.messages[0]["nice"] == min(19, os.nice(0) + 10)
    assert run.messages[0]["group"] != os.getpgid(0)


def test_grandchild_does_not_outlive_the_call(run: Run) -> None:
    grandchild = f"import signal, time\n{STUBBORN}time.sleep(60)"
    outcome = run(
        "import json, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {grandchild!r}])\n"
        "print(json.dumps({'pid': child.pid}), flush=True)"
    )
    assert outcome.ending is Ending.DONE
    wait_until(lambda: not is_running(run.messages[0]["pid"]))


def test_error_while_receiving_kills_the_child_and_comes_out(run: Run) -> None:
    pids: list[int] = []

    def receive(message: dict[str, Any]) -> None:
        pids.append(message["pid"])
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run(STUBBORN + TELL_PID + "while True: pass", receive=receive)
    assert not is_running(pids[0])


@pytest.mark.serial
def test_child_dies_with_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    child = STUBBORN + TELL_PID + "import time; time.sleep(60)"
    supervisor = (
        "import sys\n"
        "from pathlib import Path\n"
        "from workers.attempt.supervise import supervise\n"
        f"supervise([sys.executable, '-c', {child!r}], should_stop=lambda: None,\n"
        "    receive=lambda m: print(m['pid'], flush=True), log_path=Path(sys.argv[1]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", supervisor, str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert is_running(pid)
        process.kill()
    wait_until(lambda: not is_running(pid))


def test_child_whose_parent_died_first_does_not_start(tmp_path: Path) -> None:
    """The parent may die between fork and prctl; the leash then finds another parent."""
    started = tmp_path / "started"
    nobody = str(2**22 + 1)  # above the kernel's largest process id
    leash = [sys.executable, "-I", "-S", str(LEASH), nobody, "0", "0"]
    command = [sys.executable, "-c", f"open({str(started)!r}, 'w')"]
    assert subprocess.run([*leash, *command], check=False).returncode == 113
    assert not started.exists()

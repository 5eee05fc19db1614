"""Decoding processes are forked from one that has its imports, which ends with its server."""

import os
import select
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from service.ingest.formats.detect import Format
from service.ingest.isolate import sandbox, zygote
from service.ingest.isolate.warm import TooSlow, Warm, command
from service.ingest.names.columns import Wanted
from tests.support.places import ROOT

CSV = b"label,a0,a1\nx,1,2\ny,3,4\n"
SECONDS = 60

SERVER = """
import sys
from pathlib import Path
from service.ingest.isolate import sandbox
from service.ingest.names.columns import Wanted
from service.ingest.formats.detect import Format
workdir = Path(sys.argv[1])
def decode(name, seconds):
    (workdir / name).mkdir()
    sandbox.decode(workdir / f"{name}.csv", Format(kind="csv"), wanted=Wanted(), seconds=seconds,
                   workdir=workdir / name, max_bytes=1000)
decode("plain", 60)
print(sandbox._zygote().pid, flush=True)
decode("never", 600)
"""


def decode(folder: Path, content: bytes = CSV) -> int:
    folder.mkdir()
    (folder / "upload").write_bytes(content)
    found = sandbox.decode(
        folder / "upload", Format(kind="csv"), wanted=Wanted(), workdir=folder, max_bytes=1 << 20
    )
    return found.n_rows


def wait_for_end(*descriptors: int) -> None:
    """Until the processes of these pid descriptors have ended."""
    for descriptor in descriptors:
        readable, _, _ = select.select([descriptor], [], [], SECONDS)
        assert readable, "the process did not end"
        os.close(descriptor)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def zygote_pid() -> int:
    pid = sandbox._zygote().pid
    assert pid is not None
    return pid


def test_files_share_one_zygote_of_one_thread(tmp_path: Path) -> None:
    decode(tmp_path / "first")
    pid = zygote_pid()
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda name: decode(tmp_path / name), "abcd"))
    assert found == [2] * 4
    assert zygote_pid() == pid
    assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    assert children(pid) == []


def test_a_zygote_that_ended_is_replaced(tmp_path: Path) -> None:
    decode(tmp_path / "first")
    pid = zygote_pid()
    watched = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(watched)
    assert decode(tmp_path / "second") == 2
    assert zygote_pid() != pid


def test_nothing_outlives_a_killed_server(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_bytes(CSV)
    os.mkfifo(tmp_path / "never.csv")
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        # Opening waits until the decoding process has opened the other end.
        with (tmp_path / "never.csv").open("wb"):
            watched = [os.pidfd_open(process) for process in (pid, *children(pid))]
            assert len(watched) == 2
            server.kill()
            wait_for_end(*watched)


def test_a_zygote_ends_when_idle_or_when_the_other_end_is_closed() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        zygote.serve(theirs, idle_seconds=0.01)
        ours.close()
        zygote.serve(theirs, idle_seconds=600)


def test_a_process_out_of_time_is_killed_and_its_zygote_stays(tmp_path: Path) -> None:
    decode(tmp_path / "first")
    os.mkfifo(tmp_path / "never")
    (tmp_path / "decoded").mkdir()
    with pytest.raises(TooSlow):
        sandbox._zygote().run(_request(tmp_path), seconds=0.3)
    assert children(zygote_pid()) == []
    assert decode(tmp_path / "second") == 2


def test_an_error_of_ours_is_told_with_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text("{}")
    assert sandbox._zygote().run(tmp_path / "request.json", seconds=60) != 0
    assert "KeyError" in (tmp_path / zygote.ERRORS).read_text()


def test_a_zygote_that_cannot_start_says_why(tmp_path: Path) -> None:
    warm = Warm([*command()[:-1], "service.nothing"], sandbox._environment(), folder=ROOT)
    with pytest.raises(RuntimeError, match=r"No module named service\.nothing"):
        warm.run(tmp_path / "request.json", seconds=1)


def _request(folder: Path) -> Path:
    """What `sandbox.decode` writes, of a file whose reading never begins."""
    request = {
        "path": str(folder / "never"),
        "folder": str(folder / "decoded"),
        "kind": "csv",
        "compression": None,
        "wanted": {},
        "parts": {},
        "max_bytes": 1000,
        "max_text_bytes": 1000,
        "memory_bytes": sandbox.MEMORY_BYTES,
        "seconds": 60,
    }
    path = folder / "request.json"
    path.write_bytes(orjson.dumps(request))
    return path

"""Import the readers once, and fork one decoding process for each file.

Usage: `python -P -m service.ingest.isolate.zygote DESCRIPTOR`, a socket of messages. Each message
is the path of a request file and carries a socket, which gets `STARTED` and then the exit status of
the decoding process. Shutting that socket kills the process. The zygote itself reads no foreign
byte and has one thread (a fork copies no other). It ends with the server that holds the other end,
or when long idle; its children end with it.
"""

import gc
import os
import selectors
import signal
import socket
import struct
import sys
import traceback
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Final

from service.ingest.isolate import decode

STARTED: Final = b"+"
STATUS: Final = struct.Struct("=i")
"""As in `subprocess`: a negative status is the signal that ended the process."""

ERRORS: Final = "errors.txt"
"""The file beside the request with the stderr of the process."""

IDLE_SECONDS: Final = 300.0
_MAX_MESSAGE_BYTES: Final = 4096
_LAST_DESCRIPTOR: Final = 1024


@dataclass(frozen=True, kw_only=True)
class _Child:
    pid: int
    descriptor: int
    """Readable once the process has ended; no other process can reuse it."""
    reply: socket.socket


def serve(control: socket.socket, *, idle_seconds: float = IDLE_SECONDS) -> None:
    """Fork for each message, until the other end is closed or has been idle for so long."""
    n_children = 0
    with selectors.DefaultSelector() as waiting:
        waiting.register(control, selectors.EVENT_READ)
        while True:
            events = waiting.select(None if n_children else idle_seconds)
            if not events and not n_children:
                return
            for key, _ in events:
                child = key.data
                if child is None:
                    message, descriptors, _, _ = socket.recv_fds(control, _MAX_MESSAGE_BYTES, 1)
                    if not message:
                        return
                    child = _start(Path(os.fsdecode(message)), descriptors[0])
                    waiting.register(child.descriptor, selectors.EVENT_READ, child)
                    waiting.register(child.reply, selectors.EVENT_READ, child)
                    n_children += 1
                elif key.fd == child.descriptor:
                    waiting.unregister(child.descriptor)
                    if child.reply in waiting.get_map():
                        waiting.unregister(child.reply)
                    _end(child)
                    n_children -= 1
                elif child.reply in waiting.get_map():  # it may have ended among the same events
                    waiting.unregister(child.reply)
                    signal.pidfd_send_signal(child.descriptor, signal.SIGKILL)


def _start(request: Path, descriptor: int) -> _Child:
    zygote = os.getpid()
    pid = os.fork()
    if pid == 0:
        _decode(request, zygote)
    reply = socket.socket(fileno=descriptor)
    child = _Child(pid=pid, descriptor=os.pidfd_open(pid), reply=reply)
    _tell(reply, STARTED)
    return child


def _end(child: _Child) -> None:
    _, status = os.waitpid(child.pid, 0)
    os.close(child.descriptor)
    _tell(child.reply, STATUS.pack(os.waitstatus_to_exitcode(status)))
    child.reply.close()


def _tell(reply: socket.socket, message: bytes) -> None:
    try:
        reply.send(message)
    except OSError:
        return  # the caller is gone, and the closed socket kills the child


def _decode(request: Path, zygote: int) -> None:
    """Be a decoding process; never returns."""
    status = decode.FAILED_STATUS
    try:
        os.setsid()
        os.chdir(request.parent)
        errors = os.open(request.with_name(ERRORS), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.dup2(errors, sys.stderr.fileno())
        os.closerange(sys.stderr.fileno() + 1, _LAST_DESCRIPTOR)
        status = decode.run(request, parent=zygote)
    except BaseException:  # noqa: BLE001 - nothing may reach the loop that this process is a copy of
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


class _WithoutPandas(MetaPathFinder):
    """Hides pandas: pyarrow would import it to recognise its values, and there are none here."""

    def find_spec(self, name: str, *_: object) -> None:
        """Find nothing; raises ModuleNotFoundError for pandas."""
        if name == "pandas":
            raise ModuleNotFoundError(name)


def main() -> None:
    """Import what any file needs, then wait for files."""
    sys.meta_path.insert(0, _WithoutPandas())
    import pyarrow.compute

    from service.ingest.formats import array_file, csv, jsonl, parquet

    del pyarrow, array_file, csv, jsonl, parquet  # they only had to be loaded
    control = socket.socket(fileno=int(sys.argv[1]))
    # Keep the garbage collection of each child off what is loaded now: it would copy the pages.
    gc.collect()
    gc.freeze()
    serve(control)


if __name__ == "__main__":
    main()

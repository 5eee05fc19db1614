"""Start a server of one's own for an example, on a free port, and stop it at the end."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

READY = re.compile(r"http://\S+")


@contextmanager
def own_server(data_dir: Path) -> Iterator[str]:
    """`nmtune-server up` with its data and its log in a folder; yields the URL."""
    data_dir.mkdir(parents=True, exist_ok=True)
    log_path = data_dir / "server.log"
    command = [sys.executable, "-m", "standalone", "up", "--port", "0", "--data-dir", str(data_dir)]
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        url = next((found[0] for line in process.stdout if (found := READY.search(line))), None)
        if url is None:
            sys.exit(f"The server did not start; its log:\n{log_path.read_text()[-3000:]}")
        yield url.rstrip("/")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        process.stdout.close()

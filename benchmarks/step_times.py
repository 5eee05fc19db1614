"""Time one training step: the published loop, ours, and the arithmetic's floor.

Each contestant is a process of its own, since malloc's settings are a process's. They take turns:
one epoch of a few steps each, again and again; while one works the others wait for a line.
"""

import ctypes
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import page
import torch
from reference_loop import BATCH_SIZE, ReferenceLoop

from nmtune import TuneConfig
from nmtune.heads.network import Network
from nmtune.numeric import runtime
from nmtune.numeric.random_numbers import generator
from nmtune.training.adamw import AdamwFit
from nmtune.training.rows import LabelledRows

N_CLASSES = 10
STEPS = {384: 24, 768: 12, 1536: 4, 3072: 2}
"""Steps of a turn for each width."""

CONTESTANTS = ("reference", "reference, heap kept", "ours")


def measure(widths: list[int], *, turns: int) -> list[str]:
    """The lines of the section."""
    rows = []
    for d in widths:
        seconds, floor = _compete(d, turns)
        middle = {name: statistics.median(times) for name, times in seconds.items()}
        ours = middle["ours"]
        ratios = [f"{middle[name] / ours:.1f}" for name in CONTESTANTS[:2]]
        times = [f"{1e3 * middle[name]:.2f}" for name in CONTESTANTS]
        rows.append([str(d), *times, f"{1e3 * floor:.2f}", *ratios, f"{ours / floor:.1f}"])
        print(f"d = {d}: {dict(zip(CONTESTANTS, times, strict=True))} ms", flush=True)
    head = ["d", *(f"{name}, ms" for name in CONTESTANTS), "floor, ms"]
    head += ["reference / ours", "heap kept / ours", "ours / floor"]
    return page.table(head, rows)


def _compete(d: int, turns: int) -> tuple[dict[str, list[float]], float]:
    with ExitStack() as stack:
        ask = {name: stack.enter_context(_process(name, d)) for name in CONTESTANTS}
        for name in CONTESTANTS:
            ask[name]("step")  # memory is touched and libraries are loaded
        seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
        for _ in range(turns):
            for name in CONTESTANTS:
                seconds[name].append(ask[name]("step"))
        return seconds, ask["ours"]("floor")


@contextmanager
def _process(name: str, d: int) -> Iterator[Callable[[str], float]]:
    command = [sys.executable, str(Path(__file__)), name, str(d)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        to, back = process.stdin, process.stdout
        assert to is not None
        assert back is not None

        def ask(what: str) -> float:
            to.write(f"{what}\n")
            to.flush()
            return float(back.readline())

        yield ask
        to.close()


def keep_heap() -> None:
    """What `runtime.prepare` does to malloc, and nothing else of it."""
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(-4, 0)
    mallopt(-1, 2**31 - 1)


def _epochs(name: str, d: int) -> Callable[[], object]:
    random = torch.Generator().manual_seed(0)
    n_rows = STEPS[d] * BATCH_SIZE
    x = torch.randn(n_rows, d, generator=random) + 0.5
    y = torch.randint(0, N_CLASSES, (n_rows,), generator=random)
    if name != "ours":
        if "heap kept" in name:
            keep_heap()
        loop = ReferenceLoop(x, y, n_classes=N_CLASSES, epochs=1000)
        return lambda: list(loop.epoch())
    runtime.prepare(device="cpu")
    config = TuneConfig.from_preset("reference", epochs=1000)
    network = Network.initialised(
        config, n_columns=d, n_classes=N_CLASSES, generator=generator(0, 0)
    )
    fit = AdamwFit(network, LabelledRows(x, y), config=config, validation=None)
    return lambda: fit.run(1)


def floor(d: int) -> float:
    """Seconds of a step's arithmetic and memory traffic at the best rates seen here.

    40 b d^2 operations, and 38 bytes for each of the 8 d^2 weights: AdamW reads and writes 28, a
    gradient is written once (4), the weights are read for the products (6).
    """
    f, weight = torch.randn(BATCH_SIZE, d), torch.randn(4 * d, d)
    rate = 2 * f.numel() * 4 * d / _best(lambda: f @ weight.T)
    array = torch.randn(1 << 25)  # 128 MiB: larger than caches
    bandwidth = 2 * 4 * array.numel() / _best(lambda: array.mul_(1.0))
    return 40 * BATCH_SIZE * d * d / rate + 38 * 8 * d * d / bandwidth


def _best(function: Callable[[], object], repeats: int = 15) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def _serve(name: str, d: int) -> None:
    epoch = _epochs(name, d)
    for line in sys.stdin:
        if line.strip() == "floor":
            print(floor(d), flush=True)
            continue
        started = time.perf_counter()
        epoch()
        print((time.perf_counter() - started) / STEPS[d], flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))

"""Training on a GPU: 1, 8 and 64 heads together beside the published loop, and whole trainings.

python benchmarks/gpu.py [--write docs/inside/benchmarks.md]

Contestants take turns in one process; a figure is the median of the turns, in milliseconds of a
step of all its heads: batch 64, C = 10, preset `reference`. The floor is that of arithmetic and
memory traffic at the best rates seen on this GPU.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import page
import time_to_accuracy
import torch
from reference_loop import BATCH_SIZE, ReferenceLoop

from nmtune import TogetherTrainer, Trainer, TuneConfig
from nmtune.heads.network import Network
from nmtune.numeric import runtime
from nmtune.numeric.random_numbers import generator
from nmtune.training.adamw import AdamwFit
from nmtune.training.candidates import STEPS_IN_AUTO
from nmtune.training.many_heads import bytes_of_a_head
from nmtune.training.rows import LabelledRows

N_CLASSES, STEPS, TURNS = 10, 20, 5
LARGEST = 48 << 30
"""Bytes of heads: drawing the initial weights of more takes longer than the measurement."""

HEAD = (
    "d", "heads", "reference, one head", "ours, one head, no graphs", "ours, all heads", "floor",
    "all heads / one reference", "per head, times faster", "all heads / floor",
)  # fmt: skip


def measure(d: int) -> list[list[str]]:
    """The rows of the table for one width: as many heads as fit."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(STEPS * BATCH_SIZE, d, generator=random) + 0.5
    y = torch.randint(0, N_CLASSES, (len(x),), generator=random)
    config = TuneConfig.from_preset("reference", epochs=1000)
    of_a_head = bytes_of_a_head(config, n_columns=d, n_classes=N_CLASSES)
    free, _ = torch.cuda.mem_get_info()
    rows = []
    for n_heads in (1, 8, 64):
        if min(free, LARGEST) < 1.5 * n_heads * of_a_head:
            continue
        turns = {
            "reference": _reference(x, y),
            "alone": _alone(x, y, config),
            "together": _together(x, y, [config.replace(seed=seed) for seed in range(n_heads)]),
        }
        seconds = _take_turns(turns)
        torch.cuda.reset_peak_memory_stats()
        turns["together"]()
        print(f"peak {torch.cuda.max_memory_allocated() / n_heads / of_a_head:.2f} of predicted")
        del turns
        torch.cuda.empty_cache()
        floor = n_heads * _floor(d)
        one, alone, together = seconds.values()
        times = [f"{1e3 * value:.2f}" for value in (one, alone, together, floor)]
        ratios = [f"{value:.1f}" for value in (together / one, n_heads * one / together)]
        rows.append([str(d), str(n_heads), *times, *ratios, f"{together / floor:.1f}"])
        print(rows[-1], flush=True)
    return rows


def _reference(x: torch.Tensor, y: torch.Tensor) -> Callable[[], object]:
    loop = ReferenceLoop(x, y, n_classes=N_CLASSES, epochs=1000, device="cuda")
    return lambda: list(loop.epoch())


def _alone(x: torch.Tensor, y: torch.Tensor, config: TuneConfig) -> Callable[[], object]:
    network = Network.initialised(
        config, n_columns=x.shape[1], n_classes=N_CLASSES, generator=generator(0, 0)
    )
    rows = LabelledRows(x.cuda(), y.cuda())
    fit = AdamwFit(network.cuda(), rows, config=config, validation=None)
    return lambda: fit.run(1)


def _together(x: torch.Tensor, y: torch.Tensor, configs: list[TuneConfig]) -> Callable[[], object]:
    trainer = TogetherTrainer(
        x.numpy(),
        y.numpy(),
        classes=[str(index) for index in range(N_CLASSES)],
        configs=configs,
        device="cuda",
    )
    return lambda: next(trainer)


def _take_turns(contestants: dict[str, Callable[[], object]]) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(TURNS + 1):
        for name, epoch in contestants.items():
            torch.cuda.synchronize()
            started = time.perf_counter()
            epoch()
            torch.cuda.synchronize()
            if turn:  # the first warms up
                seconds[name].append((time.perf_counter() - started) / STEPS)
    return {name: statistics.median(times) for name, times in seconds.items()}


def trainings(n_rows: int, d: int) -> list[list[str]]:
    """The rows of the table of whole trainings, with the limit on steps that method auto sets."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npz"
        time_to_accuracy.synthetic(path, n_rows=n_rows, n_columns=d)
        (x, y, *validation), classes = time_to_accuracy.read(path)
    for preset in ("linear_probe", "whitened_probe", "mlp_ensemble", "paper", "reference"):
        changes = {} if preset.endswith("probe") else {"max_steps": STEPS_IN_AUTO}
        started = time.perf_counter()
        trainer = Trainer(
            x,
            y,
            classes=classes,
            config=TuneConfig.from_preset(preset, **changes),
            validation=(validation[0], validation[1]),
            device="cuda",
        )
        n_epochs = sum(1 for _ in trainer)
        head = trainer.result().head
        seconds = time.perf_counter() - started
        accuracy = (head.predict_proba(validation[0]).argmax(axis=1) == validation[1]).mean()
        rows.append([preset, str(n_epochs), f"{seconds:.1f}", f"{100 * accuracy:.1f}"])
        print(rows[-1], flush=True)
    return rows


def _floor(d: int) -> float:
    """Seconds of a head's step at this GPU's float32 products and memory: see step_times.floor."""
    left, right = (torch.randn(8192, 8192, device="cuda") for _ in range(2))
    rate = 2 * 8192**3 / _best(lambda: left @ right)
    array = torch.randn(1 << 28, device="cuda")
    bandwidth = 2 * 4 * array.numel() / _best(lambda: array.mul_(1.0))
    return 40 * BATCH_SIZE * d * d / rate + 38 * 8 * d * d / bandwidth


def _best(function: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        torch.cuda.synchronize()
        started = time.perf_counter()
        function()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("widths", nargs="*", type=int, default=[384, 768, 3072])
    parser.add_argument("--write", type=Path, help="put the table between the marks of this page")
    arguments = parser.parse_args(argv)
    machine = runtime.prepare(device="cuda")
    rows = [row for d in arguments.widths for row in measure(d)]
    lines = [f"Measured {page.machine()}, {machine.device_name}.", "", *page.table(HEAD, rows)]
    n_rows, d = 50_000, 768
    lines += ["", f"Whole trainings on {n_rows:,} x {d} synthetic rows, with their folds:", ""]
    lines += page.table(("preset", "epochs or folds", "s", "accuracy, %"), trainings(n_rows, d))
    print("\n".join(lines))
    if arguments.write:
        page.write(arguments.write, "gpu", "\n".join(lines))


if __name__ == "__main__":
    main()

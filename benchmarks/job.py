"""Whole jobs of method auto, from a dataset file to the report: time, memory, and a reference.

python benchmarks/job.py [3000x384x20 50000x768x20 ...] [--write docs/inside/benchmarks.md]

A size is rows x columns x classes of synthetic training rows; 2,000 test rows come with them. The
reference is one training by the published loop, 30 epochs, timed by 40 of its steps beside the job.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import page
import time_to_accuracy
import torch
from reference_loop import BATCH_SIZE, EPOCHS, ReferenceLoop

from nmtune import resolve
from nmtune.training.peak_memory import peak_bytes
from store.files.dataset import DatasetWriter
from workers.attempt.run import child_environment
from workers.folder import REPORT, TrainingInstructions, Workdir
from workers.settings import WorkerSettings

HEAD = (
    "training rows", "job, s", "of it training, s", "one reference training, s",
    "job / reference", "peak memory, MB", "predicted, MB", "chosen",
)  # fmt: skip
N_TEST = 2000


def measure(size: str, folder: Path) -> list[str]:
    """The row of the table for one size."""
    n_rows, n_columns, n_classes = map(int, size.split("x"))
    rows = folder / f"{size}.npz"
    time_to_accuracy.synthetic(rows, n_rows=n_rows, n_columns=n_columns, n_classes=n_classes)
    (x, y, *test), classes = time_to_accuracy.read(rows)
    dataset = folder / f"{size}.dataset"
    splits = {"train": (x, y), "test": (test[0][:N_TEST], test[1][:N_TEST])}
    with DatasetWriter(
        dataset,
        classes=classes,
        n_columns=n_columns,
        dtype=np.float32,
        splits=[(name, len(labels)) for name, (_, labels) in splits.items()],
    ) as writer:
        for name, (embeddings, labels) in splits.items():
            writer.x(name)[:], writer.y(name)[:] = embeddings, labels
    seconds, peak, workdir = _job(dataset, folder / size)
    report = workdir.read_json(REPORT)
    training = sum(
        one["train_seconds"] for name, one in report["candidates"].items() if name != "auto"
    )
    reference = _reference(x, y, n_classes)
    predicted = peak_bytes(
        resolve(method="auto").configs.values(),
        n_rows=n_rows,
        n_columns=n_columns,
        n_classes=n_classes,
        most_rows=n_rows,
    )
    chosen = " + ".join(report["choice"]["weights"])
    return [
        f"{n_rows:,} x {n_columns}, {n_classes} classes",
        *(f"{value:.1f}" for value in (seconds, training, reference, seconds / reference)),
        f"{peak / 1e6:.0f}",
        f"{predicted / 1e6:.0f}",
        chosen,
    ]


def _job(dataset: Path, folder: Path) -> tuple[float, int, Workdir]:
    """Seconds and peak memory of the training process that a worker would start."""
    folder.mkdir()
    workdir, settings = Workdir(folder), WorkerSettings()
    TrainingInstructions(
        job_id="job_benchmark",
        job_name="benchmark",
        dataset_id="ds_benchmark",
        dataset_name="synthetic",
        dataset_path=str(dataset),
        dataset_warnings=[],
        candidates=resolve(method="auto").to_dict(),
        device="cpu",
        n_threads=settings.threads_per_slot,
        checkpoint_seconds=settings.checkpoint_seconds,
    ).save(workdir)
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "workers.child.main", str(folder)],
        env=child_environment(settings),
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"the job ended with status {child.returncode}")
    return time.perf_counter() - started, 1024 * usage.ru_maxrss, workdir


def _reference(x: np.ndarray, y: np.ndarray, n_classes: int) -> float:
    loop = ReferenceLoop(torch.from_numpy(x), torch.from_numpy(y), n_classes=n_classes)
    steps = loop.epoch()
    for _ in range(5):
        next(steps)
    started = time.perf_counter()
    for _ in range(40):
        next(steps)
    return (time.perf_counter() - started) / 40 * EPOCHS * -(-len(y) // BATCH_SIZE)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", default=["3000x384x20", "50000x768x20"])
    parser.add_argument("--write", type=Path, help="put the table between the marks of this page")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for size in arguments.sizes:
            rows.append(measure(size, Path(folder)))
            print(rows[-1], flush=True)
    lines = [f"Measured {page.machine()}.", "", *page.table(HEAD, rows)]
    print("\n".join(lines))
    if arguments.write:
        page.write(arguments.write, "job", "\n".join(lines))


if __name__ == "__main__":
    main()

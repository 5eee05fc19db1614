"""Whole jobs of method auto, from a dataset file to the report: time, memory, and a reference.

python benchmarks/job.py [3000x384x20 50000x768x20 ...] [--write docs/inside/benchmarks.md]

A size is rows x columns x classes of synthetic training rows; 2,000 test rows come with them. A
file is an .npz of embeddings, of which all splits are used; `FILE:ROWS` takes that many of its
training rows. The reference is one training by the published loop, 30 epochs, timed by 40 of its
steps beside the job. The unit of CPU time is scikit-learn's LogisticRegressionCV(Cs=11, cv=5) on
the same training rows in one thread, like the job.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import numpy as np
import orjson
import page
import psutil
import time_to_accuracy
import torch
from reference_loop import BATCH_SIZE, EPOCHS, ReferenceLoop
from sklearn.linear_model import LogisticRegressionCV
from threadpoolctl import threadpool_limits

from nmtune import resolve
from nmtune.training.peak_memory import peak_bytes
from store.files.dataset import DatasetWriter
from workers.attempt.run import child_environment
from workers.folder import REPORT, TrainingInstructions, Workdir
from workers.settings import WorkerSettings

HEAD = (
    "training rows", "unit, CPU s", "head / unit", "job / unit", "job without comparison / unit",
    "job, s", "job / reference training", "peak memory, MB", "predicted, MB", "chosen",
)  # fmt: skip
N_TEST = 2000

Splits: TypeAlias = dict[str, tuple[np.ndarray, np.ndarray]]


def synthetic(size: str, folder: Path) -> tuple[Splits, list[str]]:
    n_rows, n_columns, n_classes = map(int, size.split("x"))
    path = folder / f"{size}.npz"
    time_to_accuracy.synthetic(path, n_rows=n_rows, n_columns=n_columns, n_classes=n_classes)
    (x, y, *test), classes = time_to_accuracy.read(path)
    return {"train": (x, y), "test": (test[0][:N_TEST], test[1][:N_TEST])}, classes


def of_file(name: str) -> tuple[Splits, list[str]]:
    path, _, n_rows = name.partition(":")
    splits = {}
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays.files:
            if key.endswith("_x"):
                split = key.removesuffix("_x")
                shown = split.replace("ood_", "ood/", 1) if split.startswith("ood_") else split
                y = arrays[f"{split}_y"].astype(np.int64)
                splits[shown] = (arrays[key].astype(np.float32), y)
        classes = [str(one) for one in arrays["class_names"]]
    if n_rows:
        x, y = splits["train"]
        kept = np.random.default_rng(0).permutation(len(y))[: int(n_rows)]
        splits["train"] = x[kept], y[kept]
    return splits, classes


def measure(what: str, folder: Path) -> list[str]:
    """The row of the table for one size or file."""
    is_file = Path(what.partition(":")[0]).exists()
    splits, classes = of_file(what) if is_file else synthetic(what, folder)
    x, y = splits["train"]
    (n_rows, n_columns), n_classes = x.shape, len(classes)
    dataset = folder / "rows.dataset"
    with DatasetWriter(
        dataset,
        classes=classes,
        n_columns=n_columns,
        dtype=np.float32,
        splits=[(name, len(labels)) for name, (_, labels) in splits.items()],
    ) as writer:
        for name, (embeddings, labels) in splits.items():
            writer.x(name)[:], writer.y(name)[:] = embeddings, labels
    unit = _unit(x, y)
    job = _job(dataset, folder / f"{n_rows}.compared")
    alone = _job(dataset, folder / f"{n_rows}.alone", compare=False)
    report = job.workdir.read_json(REPORT)
    reference = _reference(x, y, n_classes)
    predicted = peak_bytes(
        resolve(method="auto").configs.values(),
        n_rows=n_rows,
        n_columns=n_columns,
        n_classes=n_classes,
        most_rows=max(len(labels) for _, labels in splits.values()),
    )
    chosen = " + ".join(report["choice"]["weights"])
    named = Path(what.partition(":")[0]).stem if is_file else "synthetic"
    return [
        f"{n_rows:,} x {n_columns}, {n_classes} classes ({named})",
        f"{unit:.1f}",
        *(f"{one / unit:.1f}" for one in (job.head_cpu, job.cpu, alone.cpu)),
        f"{job.seconds:.1f}",
        f"{job.seconds / reference:.1f}",
        f"{job.peak / 1e6:.0f}",
        f"{predicted / 1e6:.0f}",
        chosen,
    ]


def _unit(x: np.ndarray, y: np.ndarray) -> float:
    """CPU seconds of the logistic regression that the job's are counted in."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that 100 iterations are too few for some penalties
        began = time.process_time()
        LogisticRegressionCV(Cs=11, cv=5, use_legacy_attributes=False).fit(x, y)
        return time.process_time() - began


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """A job's training process: seconds of the clock and of the CPU, until the head and in all."""

    seconds: float
    head_cpu: float
    cpu: float
    peak: int
    workdir: Workdir


def _job(dataset: Path, folder: Path, *, compare: bool = True) -> _Measured:
    """Run the training process that a worker would start, in one thread."""
    folder.mkdir()
    workdir, settings = Workdir(folder), WorkerSettings(n_threads=1)
    TrainingInstructions(
        job_id="job_benchmark",
        job_name="benchmark",
        dataset_id="ds_benchmark",
        dataset_name="synthetic",
        dataset_path=str(dataset),
        dataset_sha256=hashlib.sha256(dataset.read_bytes()).hexdigest(),
        dataset_warnings=[],
        candidates=resolve(method="auto", compare=compare).to_dict(),
        device="cpu",
        n_threads=settings.threads_per_slot,
        checkpoint_seconds=settings.checkpoint_seconds,
    ).save(workdir)
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "workers.child.main", str(folder)],
        env=child_environment(settings),
        stdout=subprocess.PIPE,
    )
    head_cpu = 0.0
    for line in child.stdout or ():
        if orjson.loads(line)["type"] == "head":
            times = psutil.Process(child.pid).cpu_times()
            head_cpu = times.user + times.system
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"the job ended with status {child.returncode}")
    return _Measured(
        seconds=time.perf_counter() - started,
        head_cpu=head_cpu,
        cpu=usage.ru_utime + usage.ru_stime,
        peak=1024 * usage.ru_maxrss,
        workdir=workdir,
    )


def _reference(x: np.ndarray, y: np.ndarray, n_classes: int) -> float:
    loop = ReferenceLoop(torch.from_numpy(x), torch.from_numpy(y), n_classes=n_classes)
    steps = chain.from_iterable(loop.epoch() for _ in range(EPOCHS))
    for _ in range(5):
        next(steps)
    started = time.perf_counter()
    for _ in range(40):
        next(steps)
    return (time.perf_counter() - started) / 40 * EPOCHS * -(-len(y) // BATCH_SIZE)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "sizes", nargs="*", default=["3000x384x20", "670x1280x7", "15000x1280x20", "50000x768x20"]
    )
    parser.add_argument("--write", type=Path, help="put the table between the marks of this page")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for at, what in enumerate(arguments.sizes):
            (Path(folder) / str(at)).mkdir()
            rows.append(measure(what, Path(folder) / str(at)))
            print(rows[-1], flush=True)
    lines = [f"Measured {page.machine()}.", "", *page.table(HEAD, rows)]
    print("\n".join(lines))
    if arguments.write:
        page.write(arguments.write, "job", "\n".join(lines))


if __name__ == "__main__":
    main()

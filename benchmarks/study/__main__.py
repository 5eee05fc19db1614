"""Run a study, take it up where it was left, and report it.

python -m benchmarks.study --size tiny [--data DIR] [--out build/study/tiny] [--workers 2]
    [--seeds N] [--budget SECONDS] [--device cuda] [--write docs/inside/study.md]
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks import page
from benchmarks.study import cells, noise, pictures, plots, report
from benchmarks.study.cells import Cell
from benchmarks.study.results import OtherStudyError, Store
from benchmarks.study.running import Clock, results_of
from benchmarks.study.sizes import SIZES, Size
from benchmarks.study.summary import Results
from benchmarks.study.task import TRAIN, DataMissingError, Task


def main(argv: Sequence[str] | None = None) -> None:
    arguments = _arguments(argv)
    size = SIZES[arguments.size]
    if arguments.seeds is not None:
        size = replace(size, n_seeds=arguments.seeds)
    out = arguments.out or Path("build/study") / size.name
    try:
        store = Store(out, size)
        missing = store.missing(cells.cells_of(size))
        if missing:
            _run(arguments, size, store, missing)
    except (DataMissingError, OtherStudyError) as wrong:
        raise SystemExit(str(wrong)) from None
    lines = store.lines()
    results = Results(lines)
    left = len(store.missing(cells.cells_of(size)))
    if left:
        print(f"{left} cells are left: run the same command again to go on.")
    if not lines or results.is_empty:
        raise SystemExit("No seed has all its cells yet, so there is nothing to report.")
    print(report.summary(results))
    if arguments.write:
        text = report.markdown(results, size, machine=page.machine())
        page.write(arguments.write, f"study-{size.name}", text)
        for name, drawing in plots.pictures(results).items():
            (arguments.pictures / f"study-{size.name}-{name}.svg").write_text(drawing + "\n")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="study", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--data", type=Path, help="folder of the pictures (cpu and gpu)")
    parser.add_argument("--out", type=Path, help="folder of the results (build/study/SIZE)")
    parser.add_argument("--workers", type=int, help="processes (one a core; one on a GPU)")
    parser.add_argument("--seeds", type=int, help="seeds, instead of the size's own number")
    parser.add_argument(
        "--budget", type=float, help="start nothing that ends after so many seconds"
    )
    parser.add_argument("--device", help="as torch names it (gpu: cuda where there is one)")
    parser.add_argument("--write", type=Path, help="page to put the results into")
    parser.add_argument("--pictures", type=Path, default=Path("docs/pictures"), help="for --write")
    return parser.parse_args(argv)


def task_of(size: Size, data: Path | None, device: str) -> Task:
    """The rows of this size, on the device."""
    if size.reads == "texts":
        return cells.text_task(size).to(device)
    if data is None:
        raise DataMissingError(f"size {size.name} needs pictures: name their folder (DATA=dir)")
    return pictures.task(data, size).to(device)


def _run(arguments: argparse.Namespace, size: Size, store: Store, missing: Sequence[Cell]) -> None:
    clock = Clock(arguments.budget)
    has_gpu = size.name == "gpu" and torch.cuda.is_available()
    device = arguments.device or ("cuda" if has_gpu else "cpu")
    workers = arguments.workers or (1 if device != "cpu" else os.cpu_count() or 1)
    task = task_of(size, arguments.data, device)
    found = store.confusions()
    if found is None:
        found = noise.confusions(
            cells.encoder_of(size, task),
            task.pretraining[TRAIN],
            n_classes=task.n_pretraining_classes,
            steps=size.pretraining,
        )
        store.keep(found)
    groups = list(cells.groups_of(missing, size.models_at_a_time))
    n_done = 0
    for lines in results_of(size, task, found, groups, clock, workers=workers):
        store.append(lines)
        n_done += len(lines)
        print(f"{n_done} of {len(missing)} cells, {clock.seconds:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()

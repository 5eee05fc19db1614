"""Accuracy of the candidates beside scikit-learn's logistic regression, on any file of the layout.

python benchmarks/quality.py FILE.npz [FILE.npz ...] [--seeds 3] [--write docs/benchmarks.md]

Every candidate and the reference see the same rows. The reference is tuned the usual way:
standardised columns, C from nine values by accuracy on a stratified tenth of the training rows,
then refitted on all of them. No test or OOD row is used to choose anything.
"""

import argparse
import datetime
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nmtune

Matrix = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Splits = dict[str, tuple[Matrix, Labels]]

REFERENCE = "scikit-learn logistic regression"
CS = np.logspace(-4, 2, 9)
START, STOP = "<!-- quality:start -->", "<!-- quality:stop -->"


def read(path: Path) -> tuple[Splits, list[str]]:
    with np.load(path, allow_pickle=False) as arrays:
        names = [name.removesuffix("_x") for name in arrays.files if name.endswith("_x")]
        splits = {
            name: (arrays[f"{name}_x"].astype(np.float32), arrays[f"{name}_y"].astype(np.int64))
            for name in names
        }
        return splits, [str(name) for name in arrays["class_names"]]


def accuracies(labels_of: Mapping[str, Labels], splits: Splits) -> dict[str, float]:
    """Accuracy in per cent on ID (`test`) and on the mean of the OOD splits."""
    of = {name: 100 * float(np.mean(labels_of[name] == y)) for name, (_, y) in splits.items()}
    ood = [value for name, value in of.items() if name.startswith("ood_")]
    return {"ID": of["test"], "mean OOD": float(np.mean(ood))}


def reference(splits: Splits, seed: int) -> dict[str, Labels]:
    x, y = splits["train"]
    kept, held_out = nmtune.stratified_split(y, fraction=0.1, seed=seed)

    def fit(c: float, rows: npt.NDArray[np.int64]) -> LogisticRegression:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000))
        return model.fit(x[rows], y[rows])

    scores = [fit(c, kept).score(x[held_out], y[held_out]) for c in CS]
    best = fit(float(CS[int(np.argmax(scores))]), np.arange(len(y)))
    return {name: best.predict(split_x) for name, (split_x, _) in splits.items()}


def candidate(
    config: nmtune.TuneConfig, splits: Splits, classes: Sequence[str]
) -> dict[str, Labels]:
    x, y = splits["train"]
    trainer = nmtune.Trainer(x, y, classes=classes, config=config)
    for _ in trainer:
        pass
    head = trainer.result().head
    return {name: head.predict_proba(split_x).argmax(1) for name, (split_x, _) in splits.items()}


def measure(path: Path, n_seeds: int) -> list[str]:
    """Rows of the table for one file: mean over seeds, and the deviation between them."""
    splits, classes = read(path)
    figures: dict[str, list[dict[str, float]]] = {}
    for seed in range(n_seeds):
        configs = nmtune.resolve(method="nmtune", config={"seed": seed}).configs
        fits = {REFERENCE: lambda seed=seed: reference(splits, seed)} | {
            name: lambda config=config: candidate(config, splits, classes)
            for name, config in configs.items()
        }
        for name, fit in fits.items():
            started = time.perf_counter()
            predicted = fit()
            seconds = time.perf_counter() - started
            figures.setdefault(name, []).append(
                accuracies(predicted, splits) | {"seconds": seconds}
            )
            print(f"{path.stem} seed {seed} {name}: {figures[name][-1]}", flush=True)
    rows = []
    for name, runs in figures.items():
        cells = [
            f"{np.mean([run[key] for run in runs]):.1f} ± {np.std([run[key] for run in runs]):.1f}"
            for key in ("ID", "mean OOD")
        ]
        seconds = np.median([run["seconds"] for run in runs])
        rows.append(f"| {path.stem} | {name} | {cells[0]} | {cells[1]} | {seconds:.1f} |")
    return rows


def machine() -> str:
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    today = datetime.datetime.now(datetime.UTC).date()
    return (
        f"{today}, {cpu}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"nmtune {nmtune.__version__}"
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="put the table between the marks of this page")
    arguments = parser.parse_args(argv)
    lines = [
        f"Measured {machine()}; {arguments.seeds} seeds, mean ± deviation, accuracy in per cent.",
        "",
        "| set | head | ID test | mean OOD | seconds |",
        "|---|---|---|---|---|",
    ]
    for path in arguments.files:
        lines += measure(path, arguments.seeds)
    table = "\n".join(lines)
    print(f"\n{table}")
    if arguments.write:
        page = arguments.write.read_text()
        before, _, rest = page.partition(START)
        _, _, after = rest.partition(STOP)
        arguments.write.write_text(f"{before}{START}\n{table}\n{STOP}{after}")


if __name__ == "__main__":
    main()

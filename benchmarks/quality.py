"""Accuracy of every head beside scikit-learn's logistic regression, on any file of the layout.

python benchmarks/quality.py FILE.npz [...] [--seeds 5] [--noise 0.2 0.4] [--write PAGE]

Every head sees the same rows; no test or OOD row is used to choose anything. The reference is
logistic regression tuned the usual way: standardised or raw columns (whichever did better) and C
from nine values, by accuracy on a stratified tenth of the training rows, then refitted on all of
them. --noise flips that share of the training labels to another class, drawn evenly.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from page import machine, write
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import nmtune
from nmtune.numeric import runtime

Matrix = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Splits = dict[str, tuple[Matrix, Labels]]
Probabilities = dict[str, npt.NDArray[np.floating]]

REFERENCE = "scikit-learn logistic regression"
CS = np.logspace(-4, 2, 9)
ID, OOD, ECE, SECONDS = "ID test", "mean OOD", "ECE, ID", "seconds"


@dataclass
class Runs:
    """The figures of one head on one set, one entry a seed."""

    figures: list[dict[str, float]] = field(default_factory=list)

    def mean(self, key: str) -> float:
        return float(np.mean([run[key] for run in self.figures]))

    def cell(self, key: str, digits: int = 1) -> str:
        """Mean and the half width of its 95 % interval over the seeds."""
        values = [run[key] for run in self.figures]
        if len(values) < 2:
            return f"{values[0]:.{digits}f}"
        half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
        return f"{np.mean(values):.{digits}f} ± {half:.{digits}f}"


def read(path: Path) -> tuple[Splits, list[str]]:
    with np.load(path, allow_pickle=False) as arrays:
        names = [name.removesuffix("_x") for name in arrays.files if name.endswith("_x")]
        splits = {
            name: (arrays[f"{name}_x"].astype(np.float32), arrays[f"{name}_y"].astype(np.int64))
            for name in names
        }
        return splits, [str(name) for name in arrays["class_names"]]


def flipped(y: Labels, share: float, n_classes: int, seed: int) -> Labels:
    random = np.random.default_rng(seed)
    is_flipped = random.random(len(y)) < share
    return np.where(is_flipped, (y + random.integers(1, n_classes, len(y))) % n_classes, y)


def reference(splits: Splits, seed: int) -> Probabilities:
    x, y = splits["train"]
    kept, held_out = nmtune.stratified_split(y, fraction=0.1, seed=seed)
    scalings = (StandardScaler, FunctionTransformer)

    def fit(scaling: type, c: float, rows: npt.NDArray[np.int64]) -> LogisticRegression:
        model = make_pipeline(scaling(), LogisticRegression(C=c, max_iter=2000))
        return model.fit(x[rows], y[rows])

    grid = [(scaling, float(c)) for scaling in scalings for c in CS]
    scores = [fit(*setting, kept).score(x[held_out], y[held_out]) for setting in grid]
    best = fit(*grid[int(np.argmax(scores))], np.arange(len(y)))
    return {name: best.predict_proba(split_x) for name, (split_x, _) in splits.items()}


def candidate(
    splits: Splits, classes: Sequence[str], config: nmtune.TuneConfig
) -> tuple[Probabilities, float]:
    trainer = nmtune.Trainer(*splits["train"], classes=classes, config=config)
    for _ in trainer:
        pass
    fit = trainer.result()
    return predicted(fit.head, splits), fit.seconds


def chosen(
    splits: Splits, classes: Sequence[str], seed: int
) -> dict[str, tuple[Probabilities, float]]:
    """What auto makes of the rows, and each candidate it chose from."""
    fit = nmtune.fit_auto(*splits["train"], classes=classes, seed=seed)
    print(f"    {dict(fit.choice.weights)}: {fit.choice.reason}")
    seconds = sum(one.seconds for one in fit.fits.values())
    heads = {"auto": (predicted(fit.head, splits), seconds)}
    return heads | {
        name: (predicted(one.head, splits), one.seconds) for name, one in fit.fits.items()
    }


def predicted(head: nmtune.Head, splits: Splits) -> Probabilities:
    return {name: head.predict_proba(split_x) for name, (split_x, _) in splits.items()}


def figures(
    probabilities: Probabilities, splits: Splits, classes: Sequence[str]
) -> dict[str, float]:
    """Accuracies in per cent, and the calibration error."""
    found = {
        name: nmtune.evaluate(probabilities[name], y, classes) for name, (_, y) in splits.items()
    }
    ood = [100 * one.accuracy for name, one in found.items() if name.startswith("ood_")]
    return {
        ID: 100 * found["test"].accuracy,
        OOD: float(np.mean(ood)) if ood else float("nan"),
        ECE: found["test"].ece,
    }


def measure(path: Path, n_seeds: int, noise: float) -> dict[str, Runs]:
    """Every head on one file, by name; with flipped labels only what answers the question."""
    clean, classes = read(path)
    runs: dict[str, Runs] = {}
    for seed in range(n_seeds):
        x, y = clean["train"]
        splits = clean | {"train": (x, flipped(y, noise, len(classes), seed))}
        configs = nmtune.resolve(method="auto", config={"seed": seed}).configs
        started = time.perf_counter()
        heads = {REFERENCE: (reference(splits, seed), time.perf_counter() - started)}
        heads |= chosen(splits, classes, seed)
        for name in () if noise else ("mlp", "nmtune"):
            heads[name] = candidate(splits, classes, configs[name])
        for name, (probabilities, seconds) in heads.items():
            found = figures(probabilities, clean, classes) | {SECONDS: seconds}
            runs.setdefault(name, Runs()).figures.append(found)
            told = ", ".join(f"{key} {value:.3g}" for key, value in found.items())
            print(f"{path.stem} noise {noise:g} seed {seed} {name}: {told}", flush=True)
    return runs


def table(measured: Mapping[str, Mapping[str, Runs]]) -> list[str]:
    lines = [
        "| set | head | ID test | mean OOD | ECE, ID | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for stem, runs in measured.items():
        lines += [
            f"| {stem} | {name} | {one.cell(ID)} | {one.cell(OOD)} | {one.cell(ECE, 3)} "
            f"| {np.median([run[SECONDS] for run in one.figures]):.1f} |"
            for name, one in runs.items()
        ]
    return lines


def against(measured: Mapping[str, Mapping[str, Runs]], name: str, other: str) -> str:
    """The mean over sets of a head's gain, in points ID and OOD."""
    gains = [
        np.mean([runs[name].mean(key) - runs[other].mean(key) for runs in measured.values()])
        for key in (ID, OOD)
    ]
    return f"{gains[0]:+.2f} ID, {gains[1]:+.2f} OOD"


def targets(
    clean: Mapping[str, Mapping[str, Runs]], noisy: Mapping[float, Mapping[str, Mapping[str, Runs]]]
) -> list[str]:
    """What was to be reached, and what was."""
    worst = min(
        runs["auto"].mean(key) - max(runs[REFERENCE].mean(key), runs["mlp"].mean(key))
        for runs in clean.values()
        for key in (ID, OOD)
    )
    lines = [
        "| aim | reached |",
        "|---|---|",
        "| `auto` at most 0.5 points below the better of tuned logistic regression and MLP, ID and "
        f"mean OOD, on any set | worst {worst:+.2f} |",
        "| mean over sets against tuned logistic regression: +2.0 OOD, ID not below "
        f"| {against(clean, 'auto', REFERENCE)} |",
        "| mean over sets against the MLP: +1.5 OOD, ID not below "
        f"| {against(clean, 'auto', 'mlp')} |",
    ]
    for share, measured in noisy.items():
        gains = ", ".join(
            f"{stem} {runs['auto'].mean(ID) - runs[REFERENCE].mean(ID):+.2f} ID "
            f"{runs['auto'].mean(OOD) - runs[REFERENCE].mean(OOD):+.2f} OOD"
            for stem, runs in measured.items()
        )
        lines.append(
            f"| {share:.0%} of labels flipped: `auto` not below tuned logistic regression "
            f"| {gains} |"
        )
    worst_ece = max(runs["auto"].mean(ECE) for runs in clean.values())
    lines.append(f"| ECE of `auto` on ID at most 0.03 | worst {worst_ece:.3f} |")
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--noise", type=float, nargs="*", default=[0.2, 0.4])
    parser.add_argument("--write", type=Path, help="put the tables between the marks of this page")
    arguments = parser.parse_args(argv)
    runtime.prepare()
    clean = {path.stem: measure(path, arguments.seeds, 0) for path in arguments.files}
    noisy = {
        share: {path.stem: measure(path, arguments.seeds, share) for path in arguments.files}
        for share in arguments.noise
    }
    lines = [
        f"Measured {machine()}; {arguments.seeds} seeds, mean ± half width of its 95 % interval, "
        "accuracy in per cent.",
        "",
        *table(clean),
    ]
    for share, measured in noisy.items():
        lines += ["", f"With {share:.0%} of the training labels flipped:", "", *table(measured)]
    text = "\n".join([*lines, "", *targets(clean, noisy)])
    print(f"\n{text}")
    if arguments.write:
        write(arguments.write, "quality", text)


if __name__ == "__main__":
    main()

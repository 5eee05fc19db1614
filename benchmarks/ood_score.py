"""What a head knows, on real rows: ways of scoring OOD rows side by side, and conformal coverage.

python benchmarks/ood_score.py FILE.npz [...] [--write PAGE]

Each score is fitted on the training rows, and asked to tell the test rows from each OOD split: no
test or OOD row chooses anything. `above` is the share of test rows beyond the 95 % quantile of
scores that the training rows got from fits on the other folds; 5 % is right.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from page import machine, table, write
from quality import Splits, read

import nmtune
from nmtune.numeric import runtime
from nmtune.rows.folds import assign_folds, held_out_rows
from nmtune.training import choose
from nmtune.trust.conformal import Conformal
from nmtune.trust.ood_score import QUANTILE, OodScore, auroc

Matrix = npt.NDArray[np.floating]
Score = Callable[[Matrix], Matrix]
Fit = Callable[[Matrix, npt.NDArray[np.int64]], Score]

SHRINKAGE = 0.1
N_NEIGHBOURS = 10
LEVELS = (0.8, 0.9, 0.95, 0.99)


def ours(x: Matrix, y: npt.NDArray[np.int64]) -> Score:
    return OodScore._fitted(x.astype(np.float32), y, seed=0).score


def mahalanobis(x: Matrix, y: npt.NDArray[np.int64]) -> Score:
    _, of_row = np.unique(y, return_inverse=True)
    means = np.stack([x[of_row == at].mean(axis=0) for at in range(of_row.max() + 1)])
    return _nearest(means, _whitening(x - means[of_row]))


def relative(x: Matrix, y: npt.NDArray[np.int64]) -> Score:
    mean = x.mean(axis=0, keepdims=True)
    by_class, by_all = mahalanobis(x, y), _nearest(mean, _whitening(x - mean))
    return lambda rows: by_class(rows) - by_all(rows)


def neighbours(x: Matrix, y: npt.NDArray[np.int64]) -> Score:  # noqa: ARG001  as the others
    known = _unit(x)
    return lambda rows: -np.partition(_unit(rows) @ known.T, -N_NEIGHBOURS)[:, -N_NEIGHBOURS]


FITS: dict[str, Fit] = {
    "Mahalanobis, 64 directions (ours)": ours,
    "Mahalanobis, all directions": mahalanobis,
    "relative Mahalanobis": relative,
    "10th nearest neighbour, cosine": neighbours,
}


def _whitening(centred: Matrix) -> Matrix:
    covariance = centred.T @ centred / len(centred)
    covariance += SHRINKAGE * covariance.diagonal().mean() * np.eye(len(covariance))
    return np.linalg.inv(np.linalg.cholesky(covariance)).T


def _nearest(means: Matrix, whitening: Matrix) -> Score:
    centres = means @ whitening

    def score(rows: Matrix) -> Matrix:
        z = rows @ whitening
        squares = np.square(z).sum(axis=1)[:, None] + np.square(centres).sum(axis=1)
        return np.asarray((squares - 2 * z @ centres.T).min(axis=1))

    return score


def _unit(rows: Matrix) -> Matrix:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def threshold(fit: Fit, x: Matrix, y: npt.NDArray[np.int64]) -> float:
    folds = assign_folds(y, n_folds=5, seed=0)
    scores = [fit(x[kept], y[kept])(x[out]) for kept, out in held_out_rows(folds)]
    return float(np.quantile(np.concatenate(scores), QUANTILE))


def line(
    name: str, space: str, score: Score, spaces: dict[str, Matrix], bound: float | None
) -> list[str]:
    scores = {split: score(rows) for split, rows in spaces.items() if split != "train"}
    inside = scores.pop("test")
    found = [auroc(inside, one) for one in scores.values()]
    above = "" if bound is None else f"{(inside > bound).mean():.1%}"
    return [space, name, f"{np.mean(found):.3f}", " ".join(f"{one:.3f}" for one in found), above]


def ood_lines(splits: Splits, head: nmtune.Head) -> list[list[str]]:
    y = splits["train"][1]
    spaces = {
        "embeddings": {name: x.astype(np.float64) for name, (x, _) in splits.items()},
        "tuned": {name: head.transform(x).astype(np.float64) for name, (x, _) in splits.items()},
    }
    lines = []
    for space, rows in spaces.items():
        for name, fit in FITS.items():
            bound = threshold(fit, rows["train"], y)
            lines.append(line(name, space, fit(rows["train"], y), rows, bound))
    logits = {name: head.logits(x) / head.temperature for name, (x, _) in splits.items()}
    lines.append(line("energy", "logits", lambda z: -_log_sum(z), logits, None))
    lines.append(
        line("largest probability", "logits", lambda z: _log_sum(z) - z.max(axis=1), logits, None)
    )
    return lines


def _log_sum(z: Matrix) -> Matrix:
    most = z.max(axis=1, keepdims=True)
    return np.asarray(np.log(np.exp(z - most).sum(axis=1)) + most[:, 0])


def conformal_line(splits: Splits, head: nmtune.Head, conformal: Conformal) -> list[str]:
    x, y = splits["test"]
    probabilities = head.predict_proba(x)
    cells = []
    for level in LEVELS:
        sets = conformal.sets(probabilities, level)
        covered, size = sets[np.arange(len(y)), y].mean(), sets.sum(axis=1).mean()
        cells.append(f"{covered:.3f}, {size:.2f}")
    return [str(conformal.n_rows), str(len(y)), *cells]


def seconds_of_one_row(splits: Splits) -> float:
    score = ours(*splits["train"])
    row = splits["test"][0][:1]
    times = []
    for _ in range(300):
        began = time.perf_counter()
        score(row)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--write", type=Path, metavar="PAGE")
    arguments = parser.parse_args()
    runtime.prepare(device="cpu")
    scores, coverage, speeds = [], [], []
    for path in arguments.files:
        splits, classes = read(path)
        fit = nmtune.fit_auto(*splits["train"], classes=classes)
        held_out = choose.held_out_of_blend(
            fit.choice,
            {name: one.head for name, one in fit.fits.items()},
            {name: one.held_out for name, one in fit.fits.items() if one.held_out},
        )
        assert held_out is not None
        conformal = Conformal.fit(held_out.of_truth(fit.head.temperature))
        assert conformal is not None
        scores += [[path.stem, *one] for one in ood_lines(splits, fit.head)]
        coverage.append([path.stem, *conformal_line(splits, fit.head, conformal)])
        speeds.append(f"{seconds_of_one_row(splits) * 1e6:.0f} µs ({path.stem})")
        print(*("  ".join(one) for one in scores), sep="\n")
    text = "\n".join(
        [
            f"Measured {machine()}. A score of one row takes {', '.join(speeds)}.",
            "",
            *table(["set", "space", "score", "mean AUROC", "by OOD split", "above"], scores),
            "",
            "Coverage of the true class on test rows and mean size of the sets, by level:",
            "",
            *table(["set", "held-out rows", "test rows", *map(str, LEVELS)], coverage),
        ]
    )
    print(text)
    if arguments.write:
        write(arguments.write, "ood-score", text)


if __name__ == "__main__":
    main()

"""`auto` beside the classifiers that people take for embeddings, on the same rows.

python benchmarks/quality_peers.py FILE.npz [...] [--seeds 3] [--peers NAME ...] [--write PAGE]

Each peer is used as its users do: columns standardised, its strength chosen by its own
cross-validation where it has one. No test or OOD row is used to choose anything. What depends on no
seed is fitted once. Gradient boosting, TabPFN and TabICL see the first 64 principal components: on
all columns they take minutes. The last two run only where they are installed with their weights.

The gains are means over seeds and their 95 % intervals are over test rows, paired: the standard
error of the row's own difference in being right. The best peer is taken by the very figure, which
favours it.
"""

import argparse
import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from page import machine, write
from quality import Splits, read
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegressionCV, RidgeClassifierCV
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import nmtune
from nmtune.numeric import runtime

N_COMPONENTS: Final = 64
OOD_PREFIX: Final = "ood_"

Correct = dict[str, npt.NDArray[np.float64]]
"""Split -> for each row, the share of seeds that predicted it right."""


def logistic_regression_cv(_: int) -> Any:
    classifier = LogisticRegressionCV(
        Cs=11, cv=5, max_iter=1000, l1_ratios=(0,), scoring=None, use_legacy_attributes=False
    )
    return make_pipeline(StandardScaler(), classifier)


def ridge(_: int) -> Any:
    """Its decision values become probabilities by a sigmoid fitted on five folds."""
    classifier = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-1, 5, 13)))
    return CalibratedClassifierCV(classifier, cv=5)


def shrunk_lda(_: int) -> Any:
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")


def rbf_svm(_: int) -> Any:
    grid = {"svc__C": [0.3, 1, 3, 10]}
    chosen = GridSearchCV(make_pipeline(StandardScaler(), SVC()), grid, cv=3)
    return CalibratedClassifierCV(chosen, cv=3, ensemble=False)


def nearest_neighbours(_: int) -> Any:
    grid = {"kneighborsclassifier__n_neighbors": [1, 3, 5, 10, 20]}
    classifier = make_pipeline(StandardScaler(), KNeighborsClassifier(metric="cosine"))
    return GridSearchCV(classifier, grid, cv=3)


def boosting(seed: int) -> Any:
    return _reduced(
        HistGradientBoostingClassifier(max_iter=100, early_stopping=True, random_state=seed), seed
    )


def tabpfn(seed: int) -> Any:
    return _reduced(importlib.import_module("tabpfn").TabPFNClassifier(random_state=seed), seed)


def tabicl(seed: int) -> Any:
    return _reduced(importlib.import_module("tabicl").TabICLClassifier(random_state=seed), seed)


def _reduced(classifier: Any, seed: int) -> Any:
    reduction = PCA(N_COMPONENTS, random_state=seed)
    return make_pipeline(StandardScaler(), reduction, classifier)


PEERS: Final[dict[str, Callable[[int], Any]]] = {
    "LogisticRegressionCV": logistic_regression_cv,
    "ridge": ridge,
    "shrunk LDA": shrunk_lda,
    "RBF SVM": rbf_svm,
    "nearest neighbours": nearest_neighbours,
    "gradient boosting": boosting,
    "TabPFN": tabpfn,
    "TabICL": tabicl,
}
_BY_SEED: Final = ("gradient boosting", "TabPFN", "TabICL")


def auto(splits: Splits, classes: Sequence[str], seed: int) -> Any:
    return nmtune.fit_auto(*splits["train"], classes=classes, seed=seed).head


def fitted(name: str, splits: Splits, classes: Sequence[str], seed: int) -> Any:
    return (
        auto(splits, classes, seed) if name == "auto" else PEERS[name](seed).fit(*splits["train"])
    )


class Measured:
    """One contestant on one set, over seeds."""

    def __init__(self, name: str, path: Path, n_seeds: int) -> None:
        splits, classes = read(path)
        self.seconds, self.ece, rows = 0.0, 0.0, []
        seeds = range(n_seeds if name in ("auto", *_BY_SEED) else 1)
        for seed in seeds:
            started = time.process_time()
            model = fitted(name, splits, classes, seed)
            self.seconds += (time.process_time() - started) / len(seeds)
            found = {
                split: model.predict_proba(x)
                for split, (x, _) in splits.items()
                if split != "train"
            }
            self.ece += nmtune.evaluate(_summing(found["test"]), splits["test"][1], classes).ece
            rows.append(
                {split: (p.argmax(axis=1) == splits[split][1]) for split, p in found.items()}
            )
        self.ece /= len(seeds)
        self.correct: Correct = {
            split: np.mean([one[split] for one in rows], axis=0) for split in rows[0]
        }

    @property
    def id_accuracy(self) -> float:
        return 100 * float(self.correct["test"].mean())

    @property
    def ood_accuracy(self) -> float:
        return 100 * float(np.mean([self.correct[split].mean() for split in self.ood]))

    @property
    def ood(self) -> list[str]:
        return [split for split in self.correct if split.startswith(OOD_PREFIX)]

    def gain(self, other: "Measured", splits: Sequence[str]) -> str:
        """Over another, on the mean of the splits, in points with a paired 95 % interval."""
        differences = [100 * (self.correct[split] - other.correct[split]) for split in splits]
        variance = sum(one.var() / len(one) for one in differences) / len(splits) ** 2
        gain = float(np.mean([one.mean() for one in differences]))
        return f"{gain:+.2f} ± {1.96 * variance**0.5:.2f}"


def _summing(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    values = probabilities.astype(np.float64)
    return np.asarray(values / values.sum(axis=1, keepdims=True))


def measure(path: Path, names: Sequence[str], n_seeds: int) -> dict[str, Measured]:
    """Every contestant on one file; one that cannot run is told of and left out."""
    found = {}
    for name in ("auto", *names):
        try:
            found[name] = one = Measured(name, path, n_seeds)
        except (ImportError, OSError) as missing:
            print(f"{name} is left out: {missing}", flush=True)
            continue
        print(
            f"{path.stem} {name}: ID {one.id_accuracy:.2f}, OOD {one.ood_accuracy:.2f}, "
            f"{one.seconds:.1f} s",
            flush=True,
        )
    return found


def table(measured: Mapping[str, Mapping[str, Measured]]) -> list[str]:
    lines = ["| set | head | ID test | mean OOD | ECE, ID | CPU s |", "|---|---|---|---|---|---|"]
    for stem, found in measured.items():
        lines += [
            f"| {stem} | {name} | {one.id_accuracy:.1f} | {one.ood_accuracy:.1f} | {one.ece:.3f} "
            f"| {one.seconds:.1f} |"
            for name, one in found.items()
        ]
    lines += ["", "| set | best peer, ID | `auto` over it | best peer, OOD | `auto` over it |"]
    lines += ["|---|---|---|---|---|"]
    for stem, found in measured.items():
        ours = found["auto"]
        peers = {name: one for name, one in found.items() if name != "auto"}
        best_id = max(peers, key=lambda name: peers[name].id_accuracy)
        best_ood = max(peers, key=lambda name: peers[name].ood_accuracy)
        lines.append(
            f"| {stem} | {best_id} | {ours.gain(peers[best_id], ['test'])} "
            f"| {best_ood} | {ours.gain(peers[best_ood], ours.ood)} |"
        )
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME")
    parser.add_argument("--write", type=Path, help="put the tables between the marks of this page")
    arguments = parser.parse_args(argv)
    runtime.prepare()
    started = time.monotonic()
    measured = {
        path.stem: measure(path, arguments.peers, arguments.seeds) for path in arguments.files
    }
    text = "\n".join(
        [
            f"Measured {machine()}; seeds 0 to {arguments.seeds - 1}, accuracy in per cent, "
            f"{(time.monotonic() - started) / 60:.0f} minutes in all.",
            "",
            *table(measured),
        ]
    )
    print(f"\n{text}")
    if arguments.write:
        write(arguments.write, "peers", text)


if __name__ == "__main__":
    main()

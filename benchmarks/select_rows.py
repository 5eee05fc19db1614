"""Which rows to label next, beside random choice: `POST /heads/{name}/select`'s rule, measured.

python benchmarks/select_rows.py FILE.npz [...] [--seeds 6] [--write docs/inside/benchmarks.md]

First table: 50 training rows are labelled at random; then rounds of labels follow, to 100, 200,
400, 700 and 1,000, chosen from the other training rows at random or by the rule with the head of
the round before. Second table: 400 training rows are labelled; the pool is 800 others and as many
rows of a new domain; the other rows of that domain are judged. The learner is scikit-learn's
logistic regression with one C.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import page
from numpy.typing import NDArray
from quality import read
from sklearn.linear_model import LogisticRegression

from nmtune.study.row_selection import OOD_SHARE, choose, margins_of, shortlist
from nmtune.trust.ood_score import OodScore

SIZES: Final = (50, 100, 200, 400, 700, 1000)
MORE: Final = (50, 200, 500)
SHARES: Final = (0.0, OOD_SHARE, 0.5)
POOL: Final = 800
FIRST: Final = 400

Matrix = NDArray[np.float32]
Labels = NDArray[np.int64]
Proba = Callable[[Matrix], Matrix]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--write", type=Path, help="page to put the tables into")
    arguments = parser.parse_args(argv)
    rounds, domains = [], []
    for path in arguments.files:
        rounds += _rounds(path, arguments.seeds)
        domains += _domain(path, arguments.seeds)
    head = ("set", "judged on", "labels chosen", *(f"{size:,} labels" for size in SIZES))
    lines = [
        f"Measured {page.machine()}; means of {arguments.seeds} draws. Accuracy in percent; below "
        "it the share of random choice's labels that the rule needs for the accuracy that random "
        "choice reaches with so many (by interpolation; - if it does not reach it).",
        "",
        *page.table(head, rounds),
        "",
        "A new domain in the pool, and rows of it that are judged; in brackets how many of the "
        "rows chosen are of it.",
        "",
        *page.table(
            ("set", "domain", "labels chosen", *(f"{FIRST} + {size}" for size in MORE)), domains
        ),
    ]
    print("\n".join(lines))
    if arguments.write:
        page.write(arguments.write, "select", "\n".join(lines))


def _fitted(x: Matrix, y: Labels, n_classes: int) -> Proba:
    model = LogisticRegression(C=0.03, max_iter=100, tol=1e-3).fit(x, y)

    def proba(rows: Matrix) -> Matrix:
        found = np.zeros((len(rows), n_classes), np.float32)
        found[:, model.classes_] = model.predict_proba(rows)
        return found

    return proba


def _accuracy(proba: Proba, x: Matrix, y: Labels) -> float:
    return 100 * float((proba(x).argmax(axis=1) == y).mean())


def _chosen(
    proba: Proba, pool: Matrix, k: int, *, seed: int, ood: OodScore | None, share: float
) -> NDArray[np.intp]:
    outside = np.zeros(len(pool), bool) if ood is None else ood.score(pool) > ood.threshold
    found = shortlist(margins_of(proba(pool)), outside, k, ood_share=share, seed=seed)
    return np.concatenate(choose(found, pool[found.uncertain], pool[found.ood], k, seed=seed))


def _scaled(path: Path) -> tuple[dict[str, tuple[Matrix, Labels]], int]:
    splits, classes = read(path)
    scale = 1 / splits["train"][0].std()
    return {name: (x * scale, y) for name, (x, y) in splits.items()}, len(classes)


def _rounds(path: Path, seeds: int) -> list[list[str]]:
    splits, n_classes = _scaled(path)
    x, y = splits["train"]
    figures: dict[tuple[str, str], Any] = {}
    for rule in ("at random", "by the rule"):
        for seed in range(seeds):
            random = np.random.default_rng(seed)
            labelled = random.permutation(len(x))[: SIZES[0]]
            for index, size in enumerate(SIZES):
                proba = _fitted(x[labelled], y[labelled], n_classes)
                found = {name: _accuracy(proba, *split) for name, split in splits.items()}
                ood = np.mean([value for name, value in found.items() if name.startswith("ood")])
                for kind, value in (("ID test", found["test"]), ("mean OOD", ood)):
                    figures.setdefault((kind, rule), np.zeros((seeds, len(SIZES))))[seed, index] = (
                        value
                    )
                if size == SIZES[-1]:
                    continue
                rest = random.permutation(np.setdiff1d(np.arange(len(x)), labelled))
                k = SIZES[index + 1] - size
                if rule == "at random":
                    new = rest[:k]
                else:
                    fit = OodScore.fit(x[labelled], y[labelled], seed=0)
                    new = rest[_chosen(proba, x[rest], k, seed=seed, ood=fit, share=OOD_SHARE)]
                labelled = np.concatenate([labelled, new])
    rows = []
    for kind in ("ID test", "mean OOD"):
        plain, ruled = (figures[kind, rule].mean(axis=0) for rule in ("at random", "by the rule"))
        rows.append([path.stem.partition("_")[0], kind, "at random", *(f"{v:.1f}" for v in plain)])
        rows.append(["", "", "by the rule", *(f"{v:.1f}" for v in ruled)])
        shares = [_needed(ruled, target) / size for size, target in zip(SIZES, plain, strict=True)]
        cells = ("-" if np.isinf(share) else f"{share:.2f}" for share in shares[1:])
        rows.append(["", "", "share of labels", "", *cells])
    return rows


def _needed(accuracies: NDArray[np.float64], target: float) -> float:
    """With how many labels the rule first reaches an accuracy."""
    reached = np.maximum.accumulate(accuracies)
    return float(np.interp(target, reached, SIZES)) if reached[-1] >= target else np.inf


def _domain(path: Path, seeds: int) -> list[list[str]]:
    splits, n_classes = _scaled(path)
    name = max(
        (name for name in splits if name.startswith("ood")), key=lambda one: len(splits[one][1])
    )
    (x, y), (new_x, new_y) = splits["train"], splits[name]
    rows = []
    for share in (None, *SHARES):
        accuracy = np.zeros((seeds, len(MORE)))
        of_domain = np.zeros((seeds, len(MORE)))
        for seed in range(seeds):
            random = np.random.default_rng(seed)
            order, new = random.permutation(len(x)), random.permutation(len(new_x))
            half = min(POOL, len(new) // 2)
            pool_x = np.concatenate([x[order[FIRST : FIRST + POOL]], new_x[new[:half]]])
            pool_y = np.concatenate([y[order[FIRST : FIRST + POOL]], new_y[new[:half]]])
            n_known = len(pool_x) - half
            known_x, known_y = x[order[:FIRST]], y[order[:FIRST]]
            ood = OodScore.fit(known_x, known_y, seed=0)
            proba = _fitted(known_x, known_y, n_classes)
            for index, k in enumerate(MORE):
                if share is None:
                    got = random.permutation(len(pool_x))[:k]
                else:
                    got = _chosen(proba, pool_x, k, seed=seed, ood=ood, share=share)
                after = _fitted(
                    np.concatenate([known_x, pool_x[got]]),
                    np.concatenate([known_y, pool_y[got]]),
                    n_classes,
                )
                others = new[half:]
                accuracy[seed, index] = _accuracy(after, new_x[others], new_y[others])
                of_domain[seed, index] = 100 * float((got >= n_known).mean())
        how = "at random" if share is None else f"by the rule, OOD share {share:g}"
        cells = [
            f"{accuracy[:, index].mean():.1f} ({of_domain[:, index].mean():.0f} %)"
            for index in range(len(MORE))
        ]
        rows.append([path.stem.partition("_")[0], name.removeprefix("ood_"), how, *cells])
    return rows


if __name__ == "__main__":
    main()

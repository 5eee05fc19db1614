"""What a few labelled rows of a new domain are worth: heads of `auto`, adapted and judged.

python benchmarks/adapt.py FILE.npz [...] [--seeds 5] [--write docs/inside/benchmarks.md]

The head is trained once a file. For each domain and seed, k rows are drawn at random (or, in the
last table, the k most uncertain ones are taken), the head is adapted to them as `POST
/heads/{name}/adapt` does it, and all other rows of the domain are predicted. Beside the OOD splits
and the test split, domains are made: of an OOD split and of the test split, rows with other class
shares; of an OOD split with more than three classes, a third of the classes.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import page
from numpy.typing import NDArray
from quality import read

from nmtune.heads.adaptation import adapt
from nmtune.heads.score_change import losses_of
from nmtune.training.auto import fit_auto

SIZES: Final = (20, 50, 200)
HARM: Final = 0.02
"""Nats of log loss; less is within what other rows of the domain would move it by."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Scores (n, c) of the head, embeddings and classes."""

    name: str
    scores: NDArray[np.float64]
    x: NDArray[np.float32]
    y: NDArray[np.int64]

    @property
    def is_ood(self) -> bool:
        return not self.name.split(": ")[1].startswith("test")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Accuracy and log loss on the rows that were not labelled, before and after."""

    accuracy: tuple[float, float]
    loss: tuple[float, float]
    published: bool
    has_layer: bool


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--write", type=Path, help="page to put the table into")
    arguments = parser.parse_args(argv)
    domains = [one for path in arguments.files for one in _domains(path)]
    tried = {
        (one.name, size, how): _trials(one, size, how, arguments.seeds)
        for one in domains
        for size in SIZES
        for how in HOW
    }
    lines = [
        f"Measured {page.machine()}; means over {arguments.seeds} draws of the labelled rows. "
        "Accuracy in percent on the other rows of the domain.",
        "",
        *page.table(_head(), list(_rows(domains, tried))),
        "",
        *page.table(
            ("labels", "drawn", "mean OOD", "published", "with a linear map", "harmed", "worst"),
            [_summary(domains, tried, size, how) for size in SIZES for how in HOW],
        ),
        "",
        f"Harmed: of all trials, those in which the log loss of the other rows rose by {HARM} nats "
        "or more; worst: the largest rise.",
    ]
    print("\n".join(lines))
    if arguments.write:
        page.write(arguments.write, "adapt", "\n".join(lines))


def _domains(path: Path) -> Iterator[Domain]:
    splits, classes = read(path)
    head = fit_auto(*splits["train"], classes=classes).head
    random = np.random.default_rng(0)

    def domain(name: str, x: NDArray[np.float32], y: NDArray[np.int64]) -> Domain:
        scores = head.logits(x) / np.float64(head.temperature)
        return Domain(name=f"{path.stem.partition('_')[0]}: {name}", scores=scores, x=x, y=y)

    is_first = True
    for name, (x, y) in splits.items():
        if name == "train":
            continue
        yield domain(name, x, y)
        if name == "test" or is_first:
            weights = np.exp(1.5 * random.normal(size=len(classes)))
            kept = random.random(len(y)) < (weights / weights.max())[y]
            yield domain(f"{name}, other shares", x[kept], y[kept])
        if name != "test" and is_first:
            is_first = False
            if len(classes) > 3:
                kept = np.isin(y, random.permutation(len(classes))[: len(classes) // 3])
                yield domain(f"{name}, a third of the classes", x[kept], y[kept])


def _trial(one: Domain, size: int, how: str, seed: int) -> Trial | None:
    n_rows = len(one.y)
    if n_rows < size + 100:
        return None
    order = np.random.default_rng(seed).permutation(n_rows)
    if how == "most uncertain":
        asked = order[: min(n_rows, 10 * size)]
        ordered = np.sort(one.scores[asked], axis=1)
        nearest = np.argsort(ordered[:, -1] - ordered[:, -2])
        labelled = asked[nearest[:size]]
        others = np.setdiff1d(order, labelled)
    else:
        labelled, others = order[:size], order[size:]
    found = adapt(one.scores[labelled], one.y[labelled], x=one.x[labelled])
    before, y = one.scores[others], one.y[others]
    after = before if found.change is None else found.change.scores(before, one.x[others])
    return Trial(
        accuracy=tuple(float((s.argmax(axis=1) == y).mean()) for s in (before, after)),
        loss=tuple(float(losses_of(s, y).mean()) for s in (before, after)),
        published=found.change is not None,
        has_layer=found.layer_strength is not None,
    )


HOW: Final = ("at random", "most uncertain")


def _trials(one: Domain, size: int, how: str, seeds: int) -> list[Trial]:
    found = [_trial(one, size, how, seed) for seed in range(seeds)]
    return [trial for trial in found if trial is not None]


def _head() -> list[str]:
    return ["domain", "as it is", *(f"{size} labels" for size in SIZES)]


Tried = dict[tuple[str, int, str], list[Trial]]


def _rows(domains: Sequence[Domain], tried: Tried) -> Iterator[list[str]]:
    for one in domains:
        cells = [f"{100 * (one.scores.argmax(axis=1) == one.y).mean():.1f}"]
        for size in SIZES:
            trials = tried[one.name, size, HOW[0]]
            after = [trial.accuracy[1] for trial in trials]
            cells.append(f"{100 * np.mean(after):.1f}" if after else "")
        yield [one.name, *cells]


def _summary(domains: Sequence[Domain], tried: Tried, size: int, how: str) -> list[str]:
    by_domain = {one.name: tried[one.name, size, how] for one in domains}
    trials = [trial for found in by_domain.values() for trial in found]
    ood = [by_domain[one.name] for one in domains if one.is_ood and by_domain[one.name]]
    means = [
        100 * np.mean([np.mean([trial.accuracy[at] for trial in found]) for found in ood])
        for at in (0, 1)
    ]
    rises = np.array([trial.loss[1] - trial.loss[0] for trial in trials])
    return [
        str(size),
        how,
        f"{means[0]:.1f} → {means[1]:.1f}",
        f"{np.mean([trial.published for trial in trials]):.0%}",
        f"{np.mean([trial.has_layer for trial in trials]):.0%}",
        f"{(rises >= HARM).mean():.0%}",
        f"{max(0.0, rises.max()):.2f}",
    ]


if __name__ == "__main__":
    main()

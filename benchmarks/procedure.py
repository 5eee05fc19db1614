"""What folded NMTune is worth: beside its matched MLP, and in the choice of `auto`.

python benchmarks/procedure.py FILE.npz [...] [--seeds 1] [--write PAGE]

Every file gives several cases: all training rows, a third of them, 20 rows a class, 20 % of the
labels flipped, and each of its other domains as the training domain. A form of NMTune earns its
place in `auto` if the choice by held-out predictions gains by it over the cases: in place of the
MLP ensemble, averaged with it, or as a third part of the blend wherever that is better by two
standard errors of held-out log loss.
"""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from page import machine, write
from quality import Labels, Matrix, Splits, flipped, read
from sklearn.linear_model import LogisticRegressionCV

import nmtune
from nmtune.numeric import runtime
from nmtune.training import choose

Logits = npt.NDArray[np.floating]
MOST_ROWS, FEWEST_ROWS, FEW_A_CLASS, FLIPPED = 1500, 600, 20, 0.2
CLEARLY = 2.0
FORMS = {
    "mlp": {},
    "nmtune": {},
    "consistency alone": {"w_covariance": 0.0},
    "covariance alone": {"w_consistency": 0.0},
    "ten members": {"n_bags": 2},
}
AUTO = ("linear_probe", "whitened_probe", "mlp_ensemble")


@dataclass(frozen=True)
class Judged:
    """One candidate's calibrated logits: of held-out training rows, and by split; CPU seconds."""

    held_out: nmtune.HeldOut
    splits: Mapping[str, Logits]
    seconds: float = 0.0

    def accuracy(self, splits: Splits) -> npt.NDArray[np.float64]:
        """In domain, and the mean over the other domains, in per cent."""
        found = {
            name: (one.argmax(1) == splits[name][1]).mean() for name, one in self.splits.items()
        }
        ood = [value for name, value in found.items() if name != "test"]
        return 100 * np.array([found["test"], np.mean(ood)])


def mixed(parts: Sequence[Judged], weights: Sequence[float]) -> Judged:
    def total(logits: Sequence[Logits]) -> Logits:
        return sum(weight * one for weight, one in zip(weights, logits, strict=True))

    first = parts[0].held_out
    logits = total([one.held_out.logits for one in parts]).astype(np.float32)
    held_out = nmtune.HeldOut(logits=logits, y=first.y, n_train_rows=first.n_train_rows)
    splits = {name: total([one.splits[name] for one in parts]) for name in parts[0].splits}
    return Judged(held_out, splits)


def some(rows: tuple[Matrix, Labels], at: npt.NDArray[np.int64]) -> tuple[Matrix, Labels]:
    return rows[0][at], rows[1][at]


def cases(path: Path, seed: int) -> Iterator[tuple[str, Splits, list[str]]]:
    """Name, splits (train, test, ood_...) and classes of each case of a file."""
    whole, classes = read(path)
    draw = np.random.default_rng(seed)
    x, y = whole["train"]
    order, n_classes = draw.permutation(len(y)), len(classes)
    few = [order[y[order] == one][:FEW_A_CLASS] for one in range(n_classes)]
    yield "all rows", whole, classes
    yield "a third", whole | {"train": some((x, y), order[: len(y) // 3])}, classes
    yield f"{FEW_A_CLASS} a class", whole | {"train": some((x, y), np.concatenate(few))}, classes
    labels = flipped(y, FLIPPED, n_classes, seed)
    yield f"{FLIPPED:.0%} flipped", whole | {"train": (x, labels)}, classes
    for domain in [name for name in whole if name.startswith("ood_")]:
        rows = whole[domain]
        if len(rows[1]) < FEWEST_ROWS or len(np.unique(rows[1])) < 0.9 * n_classes:
            continue
        at = draw.permutation(len(rows[1]))[:MOST_ROWS]
        cut = 3 * len(at) // 4
        others = {name: one for name, one in whole.items() if name not in ("train", "test", domain)}
        splits = {"train": some(rows, at[:cut]), "test": some(rows, at[cut:]), **others}
        splits["ood_first"] = whole["test"]
        yield f"from {domain.removeprefix('ood_')}", splits, classes


def judged(splits: Splits, classes: Sequence[str], config: nmtune.TuneConfig) -> Judged:
    started = time.process_time()
    trainer = nmtune.Trainer(*splits["train"], classes=classes, config=config)
    for _ in trainer:
        pass
    fit = trainer.result()
    seconds, temperature = time.process_time() - started, fit.head.temperature
    assert fit.held_out is not None
    logits = {
        name: fit.head.logits(x) / temperature for name, (x, _) in splits.items() if name != "train"
    }
    return Judged(fit.held_out.tempered(temperature), logits, seconds)


def chosen(known: Mapping[str, Judged], ensemble: Judged) -> Judged:
    """What `auto` makes of its candidates, with this as the ensemble."""
    of_all = {**known, "mlp_ensemble": ensemble}
    errors = choose.label_errors(known["linear_probe"].held_out)
    noisy = choose.labels_look_noisy(errors)
    held_out = {name: one.held_out for name, one in of_all.items()}
    weights = choose.choose(held_out, noisy=noisy).weights
    return mixed([of_all[name] for name in weights], list(weights.values()))


def gain(one: nmtune.HeldOut, other: nmtune.HeldOut) -> float:
    """How much lower the held-out log loss of `one` is, in standard errors."""
    difference = other.losses - one.losses
    return float(difference.mean() / max(difference.std() / len(difference) ** 0.5, 1e-12))


def measure(splits: Splits, classes: list[str], seed: int) -> dict[str, npt.NDArray[np.float64]]:
    """By row of the table: accuracies and CPU seconds of a candidate or of a choice."""
    configs = nmtune.resolve(config={"seed": seed}).configs
    known = {name: judged(splits, classes, configs[name]) for name in (*AUTO, "robust_probe")}
    forms = {
        name: judged(splits, classes, configs.get(name, configs["nmtune"]).replace(**changes))
        for name, changes in FORMS.items()
    }
    ensemble = known["mlp_ensemble"]
    choices = {"auto": chosen(known, ensemble)}
    for name, form in forms.items():
        choices[f"auto, {name} in place of the ensemble"] = chosen(known, form)
        beside = mixed([form, ensemble], [0.5, 0.5])
        choices[f"auto, {name} averaged with the ensemble"] = chosen(known, beside)
        third = mixed([choices["auto"], form], [2 / 3, 1 / 3])
        joins = gain(third.held_out, choices["auto"].held_out) >= CLEARLY
        choices[f"auto, {name} as a third part"] = third if joins else choices["auto"]
    every = known | forms | choices
    return {name: np.append(one.accuracy(splits), one.seconds) for name, one in every.items()}


def reference_seconds(rows: tuple[Matrix, Labels]) -> float:
    """CPU time of scikit-learn's LogisticRegressionCV over 11 penalties and 5 folds."""
    x = (rows[0] - rows[0].mean(0)) / (rows[0].std(0) + 1e-8)
    started = time.process_time()
    LogisticRegressionCV(Cs=np.logspace(-4, 1, 11), cv=5, max_iter=1000).fit(x, rows[1])
    return time.process_time() - started


def table(found: Mapping[str, Mapping[str, npt.NDArray[np.float64]]]) -> list[str]:
    """Differences to `auto`, mean and standard error over the cases."""
    lines = ["| head or choice | ID | OOD | CPU s |", "|---|---|---|---|"]
    for name in next(iter(found.values())):
        gains = np.array([one[name][:2] - one["auto"][:2] for one in found.values()])
        error = gains.std(0, ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else np.zeros(2)
        seconds = np.mean([one[name][2] for one in found.values()])
        cells = [
            f"{mean:+.2f} ± {half:.2f}" for mean, half in zip(gains.mean(0), error, strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | {f'{seconds:.1f}' if seconds else ''} |")
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--write", type=Path, help="put the table between the marks of this page")
    arguments = parser.parse_args(argv)
    runtime.prepare(n_threads=1)
    found, lines = {}, []
    for path in arguments.files:
        for seed in range(arguments.seeds):
            for name, splits, classes in cases(path, seed):
                case = f"{path.stem}, {name}, seed {seed}"
                found[case] = measure(splits, classes, seed)
                told = {one: np.round(values, 2).tolist() for one, values in found[case].items()}
                print(f"{case}: {told}", flush=True)
        seconds = reference_seconds(read(path)[0]["train"])
        lines.append(f"- LogisticRegressionCV on {path.stem}, all rows: {seconds:.1f} s")
    text = "\n".join(
        [
            f"Measured {machine()}; {len(found)} cases, points of accuracy more than `auto` has, "
            "mean ± standard error over the cases; CPU time of one training.",
            "",
            *table(found),
            "",
            *lines,
        ]
    )
    print(f"\n{text}")
    if arguments.write:
        write(arguments.write, "procedure", text)


if __name__ == "__main__":
    main()

"""How well the head of `auto` knows the right labels where training labels are wrong.

python benchmarks/calibration.py FILE.npz [...] [--write docs/inside/benchmarks.md]

Training labels are turned wrong in a known way; test labels stay right. One training a line, and
two calibrations of the same blend: on the given labels, and through the noise matrix that was
estimated from them. Sets are those of level 0.9: how often they hold the right class, and how many
classes they have.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import page
from quality import read

from nmtune import Head, evaluate
from nmtune.training import choose
from nmtune.training.auto import fit_auto
from nmtune.trust.conformal import Conformal

NOISE: Final = (("even", 0.0), ("even", 0.2), ("even", 0.4), ("next", 0.2))
LEVEL: Final = 0.9
HEAD: Final = (
    "set",
    "wrong labels",
    "taken for noisy",
    "accuracy",
    "ECE, given labels",
    "ECE, right labels",
    "sets, given labels",
    "sets, right labels",
)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz")
    parser.add_argument("--write", type=Path, help="page to put the table into")
    arguments = parser.parse_args(argv)
    rows = [_row(path, kind, rate) for path in arguments.files for kind, rate in NOISE]
    lines = [f"Measured {page.machine()}; one seed.", "", *page.table(HEAD, rows)]
    print("\n".join(lines))
    if arguments.write:
        page.write(arguments.write, "calibration", "\n".join(lines))


def _row(path: Path, kind: str, rate: float) -> list[str]:
    splits, classes = read(path)
    (x, y), (test_x, test_y) = splits["train"], splits["test"]
    random = np.random.default_rng(1)
    step = random.integers(1, len(classes), len(y)) if kind == "even" else np.ones(len(y), int)
    given = np.where(random.random(len(y)) < rate, (y + step) % len(classes), y)
    fit = fit_auto(x, given, classes=classes)
    held_out = {name: one.held_out for name, one in fit.fits.items() if one.held_out}
    heads = {name: one.head for name, one in fit.fits.items()}
    together = choose.held_out_of_blend(fit.choice, heads, held_out)
    noise = choose.noise_of(choose.label_errors(held_out["linear_probe"]))
    plain, _ = choose.blend(fit.choice, heads, held_out)
    of_given = _judged(plain, together.of_truth(plain.temperature), None, test_x, test_y)
    values, weights = together.of_truth(fit.head.temperature), None
    if noise is not None:
        values, weights = together.of_right(fit.head.temperature, noise)
    of_right = _judged(fit.head, values, weights, test_x, test_y)
    accuracy = evaluate(fit.head.predict_proba(test_x), test_y, tuple(classes)).accuracy
    return [
        path.stem,
        f"{rate:.0%} {kind}" if rate else "none",
        "yes" if fit.choice.labels_look_noisy else "no",
        f"{100 * accuracy:.1f}",
        *(one[0] for one in (of_given, of_right)),
        *(one[1] for one in (of_given, of_right)),
    ]


def _judged(
    head: Head, of_truth: np.ndarray, weights: np.ndarray | None, x: np.ndarray, y: np.ndarray
) -> tuple[str, str]:
    """The calibration error, and the coverage and size of the sets."""
    probabilities = head.predict_proba(x)
    ece = evaluate(probabilities, y, head.classes).ece
    sets = Conformal.fit(of_truth, weights).sets(probabilities, LEVEL)
    covered = sets[np.arange(len(y)), y].mean()
    return f"{ece:.3f}", f"{covered:.1%}, {sets.sum(axis=1).mean():.2f} classes"


if __name__ == "__main__":
    main()

"""Would more labels help? Train on growing parts of the rows, and extrapolate with an interval.

No server: only the library `nmtune` (with scikit-learn).

    python examples/more_labels.py
"""

import numpy as np
from bundled import split

from nmtune import NMTuneClassifier, learning_curve, would_more_labels_help

SHARES = (0.1, 0.2, 0.4, 0.7)


def main() -> None:
    x, labels = split("train")
    classes, y = np.unique(labels, return_inverse=True)
    splits = {}
    for part in ("test", "ood_hwu"):
        rows, truth = split(part)
        splits[part] = (rows, np.searchsorted(classes, truth))

    def fit(rows: np.ndarray, indices: np.ndarray, seed: int) -> NMTuneClassifier:
        return NMTuneClassifier("linear_probe", l2=1.0, random_state=seed).fit(rows, indices)

    points = list(
        learning_curve(
            x, y, n_classes=len(classes), fit=fit, splits=splits, fractions=SHARES, n_seeds=2
        )
    )
    for point in points:
        accuracies = "  ".join(f"{part} {point.mean(part):.1%}" for part in splits)
        print(f"{point.n_rows:5} rows  {accuracies}")
    for part in splits:
        print(would_more_labels_help(points, split=part).sentence)


if __name__ == "__main__":
    main()

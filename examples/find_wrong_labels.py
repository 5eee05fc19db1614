"""Which training labels are wrong? Flip some on purpose, and see how many are found.

No server: only the library `nmtune` (with scikit-learn).

    python examples/find_wrong_labels.py
"""

import numpy as np
from bundled import split
from sklearn.model_selection import cross_val_predict

from nmtune import NMTuneClassifier, find_label_errors


def main() -> None:
    x, labels = split("train")
    classes, y = np.unique(labels, return_inverse=True)
    rng = np.random.default_rng(0)
    flipped = rng.choice(len(y), size=len(y) // 20, replace=False)  # one label in twenty
    given = y.copy()
    given[flipped] = (y[flipped] + rng.integers(1, len(classes), len(flipped))) % len(classes)

    # Each row is judged by a probe that has not seen it.
    probe = NMTuneClassifier("linear_probe", l2=1.0, random_state=0)
    judged = cross_val_predict(probe, x, given, cv=5, method="predict_proba")
    found = find_label_errors(judged, given)

    expected = found.expected_wrong
    print(
        f"{len(flipped)} of {len(y)} labels were flipped; expected to be wrong: "
        f"{expected.n_rows:.0f} ({expected.low:.0f} to {expected.high:.0f})"
    )
    worst = found.rows[: len(flipped)]
    share = np.isin(worst, flipped).mean()
    print(f"Of the {len(worst)} most suspected rows {share:.0%} are flipped ones. The first three:")
    for row, suggested in zip(found.rows[:3], found.suggested[:3], strict=True):
        print(f"  row {row}: labelled {classes[given[row]]}, looks like {classes[suggested]}")


if __name__ == "__main__":
    main()

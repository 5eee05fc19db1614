"""Which head should I use? Let cross-validation choose, as a scikit-learn estimator.

No server: only the library `nmtune` (with scikit-learn).

    python examples/choose_a_head.py
"""

from bundled import split
from sklearn.linear_model import LogisticRegression

from nmtune import NMTuneClassifier


def main() -> None:
    x, y = (part[::5] for part in split("train"))  # a fifth of the rows, so that it takes seconds
    chosen = NMTuneClassifier(random_state=0, max_steps=100).fit(x, y)
    baseline = LogisticRegression(max_iter=200).fit(x, y)

    print(f"Chosen: {', '.join(chosen.choice_.weights)}")
    print(chosen.choice_.reason)
    print(f"{'':20}{'ID test':>10}{'OOD hwu':>10}{'OOD snips':>10}")
    for name, model in {"chosen by NMTune": chosen, "LogisticRegression": baseline}.items():
        scores = [model.score(*split(part)) for part in ("test", "ood_hwu", "ood_snips")]
        print(f"{name:20}" + "".join(f"{score:10.1%}" for score in scores))


if __name__ == "__main__":
    main()

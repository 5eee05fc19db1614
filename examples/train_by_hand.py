"""Train one NMTune head epoch by epoch, stop when you like, and see what it did to the spectrum.

No server: only the library `nmtune`.

    python examples/train_by_hand.py
"""

import numpy as np
from bundled import split

from nmtune import Trainer, TuneConfig, evaluate, spectrum


def main() -> None:
    x, labels = split("train")
    classes, y = np.unique(labels, return_inverse=True)
    config = TuneConfig.from_preset("paper").replace(epochs=6)

    trainer = Trainer(x, y, classes=classes.tolist(), config=config)
    for report in trainer:  # leave the loop to stop; iterate again to go on
        losses = report.losses
        print(
            f"epoch {report.epoch}/{report.n_epochs}  cross-entropy {losses['cross_entropy']:.3f}  "
            f"consistency {losses['consistency']:.3f}  covariance {losses['covariance']:.2e}  "
            f"dominant {losses['dominant']:.3f}"
        )
    head = trainer.result().head

    for part in ("test", "ood_hwu"):
        rows, truth = split(part)
        indices = np.searchsorted(classes, truth)
        found = evaluate(head.predict_proba(rows), indices, head.classes)
        before, after = spectrum(rows), spectrum(head.transform(rows))
        print(
            f"{part:8} accuracy {found.accuracy:.1%}, ECE {found.ece:.3f}; effective rank of the "
            f"embeddings {before.effective_rank:.0f}, tuned {after.effective_rank:.0f}"
        )


if __name__ == "__main__":
    main()

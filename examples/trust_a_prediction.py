"""When should I trust a prediction? Sets of classes with a promise, and a score for odd rows.

Starts a server of its own and keeps its data in `examples-data/trust`.

    python examples/trust_a_prediction.py
"""

from pathlib import Path

import numpy as np
from bundled import split
from nmtune_client import Client
from own_server import own_server


def main() -> None:
    x, labels = split("train")
    with own_server(Path("examples-data/trust")) as url, Client(url) as client:
        job = client.jobs.create(name="intents", embeddings=x, labels=labels, method="linear_probe")
        job.wait()
        for part in ("test", "ood_hwu"):
            rows, truth = split(part)
            found = client.predict("intents", rows, conformal_level=0.9, ood=True)
            inside = np.mean([name in names for name, names in zip(truth, found.sets, strict=True)])
            size = np.mean([len(names) for names in found.sets])
            print(
                f"{part:8} the set of 90 % holds the true class in {inside:.1%} of the rows, with "
                f"{size:.2f} classes on average; {found.is_ood.mean():.1%} of the rows look foreign"
            )
    print("The promise of 90 % is for rows like the training's. Out of domain it is not kept.")


if __name__ == "__main__":
    main()

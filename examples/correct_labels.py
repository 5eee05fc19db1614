"""Correct wrong labels and see what it brings: train, look at suspects, correct, train again.

Starts a server of its own and keeps its data in `examples-data/corrections`.

    python examples/correct_labels.py
"""

from pathlib import Path

import numpy as np
from bundled import split
from nmtune_client import Client
from own_server import own_server

FOLDER = Path("examples-data/corrections")
NAME, METHOD = "intents", "linear_probe"


def main() -> None:
    x, labels = split("train")
    test_x, test_labels = split("test")
    classes = np.unique(labels)
    rng = np.random.default_rng(0)
    flipped = rng.choice(len(labels), size=len(labels) // 10, replace=False)  # one in ten
    given = labels.copy()
    given[flipped] = rng.choice(classes, len(flipped))

    with own_server(FOLDER) as url, Client(url) as client:
        arrays = {"train_x": x, "train_y": given, "test_x": test_x, "test_y": test_labels}
        dataset = client.datasets.upload(arrays, name=NAME)
        job = client.jobs.create(name=NAME, dataset=dataset, method=METHOD).wait()
        suspects = job.report().suspects
        # Someone would look at each; here the true labels are known, and stand for that person.
        confirmed = [one for one in suspects if labels[one.row] == one.suggested]
        print(f"{len(suspects)} labels are suspected, {len(confirmed)} of them rightly.")

        corrected = dataset.correct(confirmed, note="suspects that were confirmed")
        again = client.jobs.create(name=NAME, dataset=corrected, method=METHOD).wait()
        print(client.heads.compare(NAME, job.head.version, again.head.version))


if __name__ == "__main__":
    main()

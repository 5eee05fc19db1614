"""A job whose training labels are wrong in many rows, and whose test labels are right."""

import numpy as np
import pytest
from nmtune_client import Client

pytestmark = pytest.mark.slow

N_TRAIN, N_TEST, N_COLUMNS = 900, 300, 12
CLASSES = np.array(["cat", "dog", "owl"])
RATE = 0.3
LEVEL = 0.9


def test_probabilities_and_sets_are_for_the_right_labels(client: Client) -> None:
    random = np.random.default_rng(5)
    centres = 1.3 * random.normal(size=(3, N_COLUMNS))
    y = np.arange(N_TRAIN + N_TEST) % 3
    x = (centres[y] + random.normal(size=(len(y), N_COLUMNS))).astype(np.float32)
    given = y.copy()
    wrong = random.random(N_TRAIN) < RATE
    given[:N_TRAIN][wrong] = (y[:N_TRAIN][wrong] + random.integers(1, 3, wrong.sum())) % 3
    splits = ["train"] * N_TRAIN + ["test"] * N_TEST
    job = client.jobs.create(
        name="noisy", embeddings=x, labels=CLASSES[given], splits=splits, config={"epochs": 2}
    )
    report = job.wait(300).report()

    assert report.raw["choice"]["labels_look_noisy"] is True
    assert "right ones" in report.raw["calibration"]["method"]
    # The linear probe is calibrated on the given labels, 30 % of which are wrong.
    assert report.metrics("linear_probe", "test").ece > 0.2
    assert report.metrics("auto", "test").ece < 0.08

    trust = report.raw["findings"]["trust"]
    assert "sets are for the right ones" in trust["sentence"]
    told = trust["conformal"]["splits"]["test"]
    prediction = client.predict("noisy", x[N_TRAIN:], conformal_level=LEVEL)
    sets = prediction.sets
    right = CLASSES[y[N_TRAIN:]]
    covered = np.mean([label in one for label, one in zip(right, sets, strict=True)])
    assert covered == pytest.approx(told["coverage"])
    assert covered >= LEVEL - 0.05
    assert told["mean_size"] < 1.5  # to hold the given labels as often, they would need two classes

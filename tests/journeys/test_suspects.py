"""From a file with wrong labels to the rows to mend: upload, train, report, CSV."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nmtune_client import Client

pytestmark = pytest.mark.slow

N_ROWS, N_COLUMNS = 900, 12
CLASSES = np.array(["cat", "dog", "owl"])
CONFIG = {"epochs": 2}


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray, set[int]]:
    """Well-parted blobs, the labels of some rows flipped, and which these are."""
    random = np.random.default_rng(11)
    centres = random.normal(size=(3, N_COLUMNS)) * 2
    y = np.arange(N_ROWS) % 3
    x = (centres[y] + random.normal(size=(N_ROWS, N_COLUMNS))).astype(np.float32)
    flipped = random.choice(N_ROWS, 30, replace=False)
    y[flipped] = (y[flipped] + 1) % 3
    return x, CLASSES[y], set(flipped.tolist())


@pytest.fixture
def table(tmp_path: Path, rows: tuple[np.ndarray, np.ndarray, set[int]]) -> Path:
    path = tmp_path / "pets.csv"
    x, y, _ = rows
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "ticket", *(f"dim_{column}" for column in range(N_COLUMNS))])
        for row in range(N_ROWS):
            writer.writerow([y[row], f"T-{row}", *x[row].tolist()])
    return path


def check(suspects: Any, labels: np.ndarray, flipped: set[int], *, least: int) -> None:
    found = [one.file_row for one in suspects]
    assert len(flipped.intersection(found)) >= least
    assert flipped.issuperset(found[:15])  # the worst first
    for one in suspects:
        assert one.given == labels[one.file_row]
        assert 0 < one.score <= 1


def test_suspects_of_a_file_are_the_rows_that_were_flipped(
    client: Client, table: Path, tmp_path: Path, rows: tuple[np.ndarray, np.ndarray, set[int]]
) -> None:
    _, labels, flipped = rows
    dataset = client.datasets.upload(table, id="ticket")
    job = client.jobs.create(name="suspects", dataset=dataset, config=CONFIG).wait(300)
    report = job.report()
    check(report.suspects, labels, flipped, least=18)  # a fifth of the rows became test
    assert all(one.id == f"T-{one.file_row}" for one in report.suspects)
    assert all(one.text is None for one in report.suspects)
    with report.suspects_csv(tmp_path / "s.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [int(line["file_row"]) for line in lines] == [s.file_row for s in report.suspects]

    found = report.findings["label_errors"]
    assert found["labels_look_noisy"] is False
    # With so few rows the interval of the disagreement holds the threshold.
    assert found["sentence"].startswith("Whether the labels are noisy is unclear")
    assert "doubtful" not in found["sentence"]
    in_train = sum(one.file_row in flipped for one in report.suspects)
    assert found["expected_wrong"]["low"] <= in_train <= found["expected_wrong"]["high"]

    assert job.progress is not None
    assert (job.progress.fraction, job.progress.eta_seconds) == (1.0, 0.0)
    advice = report.abstention
    assert advice is not None
    assert advice["reason"]
    if advice["threshold"] is not None:
        of_test = advice["splits"]["test"]
        assert of_test["accuracy"] >= of_test["accuracy_of_all"]
    assert len(str(report).splitlines()) <= 25


def test_suspects_of_rows_sent_along_are_indices_into_them(
    client: Client, rows: tuple[np.ndarray, np.ndarray, set[int]]
) -> None:
    x, labels, flipped = rows
    job = client.jobs.create(name="suspects", embeddings=x, labels=labels, method="linear_probe")
    check(job.wait(300).report().suspects, labels, flipped, least=18)


def test_suspects_of_arrays_too_large_to_go_inline(
    client: Client,
    rows: tuple[np.ndarray, np.ndarray, set[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nmtune_client._jobs.submission.MOST_INLINE_BYTES", 1000)
    x, labels, flipped = rows
    job = client.jobs.create(name="suspects", embeddings=x, labels=labels, method="linear_probe")
    check(job.wait(300).report().suspects, labels, flipped, least=18)

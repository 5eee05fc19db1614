"""The values of a job's rows: what a real training leaves, against the heads and their rows."""

from pathlib import Path

import numpy as np
import pytest

from nmtune import Head
from store import job_files
from store.files.dataset import DatasetFile
from store.files.job_rows import STEPS, JobRows, probability
from store.jobs import Job
from tests.workers.workplace import SPLITS, OpenWorkplace, Workplace

BYTES_OF_A_ROW = 14  # label, predicted, its probability and the label's, set size; 4 of OOD score
BYTES_OF_A_FURTHER_CANDIDATE = 4


def rows_of(workplace: Workplace, job: Job) -> tuple[JobRows, int]:
    """The rows that a job left, and the size of the file."""
    with workplace.store.database.read() as tx:
        file = job_files.get(tx, "default", job.id, job_files.ROWS)
    rows = JobRows.open(workplace.store.artifacts.open_path("default", file.sha256))
    return rows, file.size_bytes


def dataset_of(workplace: Workplace, rows: JobRows) -> DatasetFile:
    return DatasetFile.open(workplace.store.artifacts.open_path("default", rows.dataset_sha256))


@pytest.fixture(scope="module")
def workplace_of_two(
    open_workplace: OpenWorkplace, tmp_path_factory: pytest.TempPathFactory
) -> Workplace:
    return open_workplace(tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="module")
def chosen(workplace_of_two: Workplace) -> Job:
    """A job with method auto, whose candidates hold training rows out."""
    dataset = workplace_of_two.add_dataset(n_mislabelled=6)
    ended = workplace_of_two.run(
        workplace_of_two.submit({"seed": 3, "max_steps": 60}, method="auto", dataset=dataset)
    )
    assert ended is not None
    assert ended.status == "succeeded"
    return ended


@pytest.fixture(scope="module")
def tuned(workplace_of_two: Workplace) -> Job:
    """A job with method nmtune, which learns from all training rows."""
    ended = workplace_of_two.run(workplace_of_two.submit({"epochs": 4, "seed": 3, "l2": 1.0}))
    assert ended is not None
    assert ended.status == "succeeded"
    return ended


def test_values_are_those_of_the_published_head(workplace_of_two: Workplace, tuned: Job) -> None:
    rows, _ = rows_of(workplace_of_two, tuned)
    dataset = dataset_of(workplace_of_two, rows)
    head = Head.from_bytes(
        workplace_of_two.store.artifacts.get_bytes("default", workplace_of_two.head_sha256(tuned))
    )
    assert head.knowledge is not None
    assert head.knowledge.ood is not None
    assert head.knowledge.conformal is not None
    assert rows.ood_threshold == head.knowledge.ood.threshold
    for split in ("validation", "test", "ood/paint", "ood/sketch"):
        arrays, found = dataset.splits[split], rows.splits[split]
        probabilities = head.predict_proba(arrays.x)
        at = np.arange(SPLITS[split])
        said = found.predictions["nmtune"]
        assert found.predicted_probability is not None
        assert found.ood_score is not None
        assert found.set_size is not None
        np.testing.assert_array_equal(found.label, arrays.y)
        np.testing.assert_array_equal(said.predicted, probabilities.argmax(axis=1))
        for kept, exact in (
            (said.label_probability, probabilities[at, arrays.y]),
            (found.predicted_probability, probabilities.max(axis=1)),
        ):
            np.testing.assert_allclose(kept / STEPS, exact, atol=1 / STEPS)
        np.testing.assert_allclose(found.ood_score, head.knowledge.ood.score(arrays.x), rtol=1e-4)
        sets = head.knowledge.conformal.sets(probabilities, 0.9)
        np.testing.assert_array_equal(found.set_size, sets.sum(axis=1))


def test_of_training_rows_only_held_out_predictions_count(
    workplace_of_two: Workplace, tuned: Job, chosen: Job
) -> None:
    """The published loop learns from all of them, so that it says nothing of them."""
    rows, _ = rows_of(workplace_of_two, tuned)
    train = rows.splits["train"]
    # The linear probe's penalty was given, so that it held nothing out either.
    assert "nmtune" not in train.predictions
    assert train.predicted_probability is None
    assert train.ood_score is not None
    rows, _ = rows_of(workplace_of_two, chosen)
    train = rows.splits["train"]
    # Here NMTune is trained in folds.
    assert {"auto", "linear_probe", "whitened_probe", "nmtune"} <= set(train.predictions)
    evidence = workplace_of_two.report(chosen)["choice"]["evidence"]
    n_validation = SPLITS["validation"]
    for one in evidence:
        right = train.predictions[one["candidate"]].predicted == train.label
        n_right = round(one["accuracy"] * (SPLITS["train"] + n_validation))
        assert n_right - n_validation <= right.sum() <= n_right


def test_accuracy_by_the_rows_is_that_of_the_report(
    workplace_of_two: Workplace, chosen: Job
) -> None:
    rows, _ = rows_of(workplace_of_two, chosen)
    report = workplace_of_two.report(chosen)
    assert list(rows.candidates) == list(report["candidates"])
    for candidate, described in report["candidates"].items():
        for split in ("test", "ood/paint", "ood/sketch"):
            found = rows.splits[split]
            right = found.predictions[candidate].predicted == found.label
            assert right.mean() == pytest.approx(described["metrics"][split]["accuracy"])


def test_suspects_have_their_nearest_rows(workplace_of_two: Workplace, chosen: Job) -> None:
    rows, _ = rows_of(workplace_of_two, chosen)
    suspected = workplace_of_two.report(chosen)["findings"]["label_errors"]["suspected"]
    assert suspected
    assert {one["row"] for one in suspected} <= set(range(6))
    assert rows.suspects.rows.tolist() == [one["row"] for one in suspected]
    assert [rows.classes[at] for at in rows.suspects.suggested.tolist()] == [
        one["suggested"] for one in suspected
    ]
    x = np.asarray(dataset_of(workplace_of_two, rows).splits["train"].x, np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    for at, row in enumerate(rows.suspects.rows.tolist()):
        cosines = x @ x[row]
        cosines[row] = -2
        nearest = np.argsort(-cosines, kind="stable")[:5]
        np.testing.assert_array_equal(rows.suspects.neighbours[at], nearest)
        np.testing.assert_allclose(rows.suspects.similarities[at], cosines[nearest], atol=1e-5)


def test_a_row_takes_few_bytes(workplace_of_two: Workplace, tuned: Job) -> None:
    rows, size = rows_of(workplace_of_two, tuned)
    n_rows = sum(SPLITS.values())
    further = len(rows.candidates) - 1
    most = n_rows * (BYTES_OF_A_ROW + BYTES_OF_A_FURTHER_CANDIDATE * further)
    header = 8 + int.from_bytes(_bytes(workplace_of_two, tuned)[:8], "little")
    assert size - header <= most
    assert BYTES_OF_A_ROW < 24


def _bytes(workplace: Workplace, job: Job) -> bytes:
    with workplace.store.database.read() as tx:
        file = job_files.get(tx, "default", job.id, job_files.ROWS)
    return workplace.store.artifacts.get_bytes("default", file.sha256)


def test_the_same_job_again_leaves_the_same_bytes(
    workplace_of_two: Workplace, tuned: Job, tmp_path: Path
) -> None:
    again = workplace_of_two.run(workplace_of_two.submit({"epochs": 4, "seed": 3, "l2": 1.0}))
    assert again is not None
    assert _bytes(workplace_of_two, again) == _bytes(workplace_of_two, tuned)


def test_probabilities_are_rounded_to_their_steps() -> None:
    assert [probability(kept) for kept in (0, 1, STEPS - 1, STEPS)] == [0, 2e-5, 0.99998, 1]

"""Maps drawn by real processes: drawn, given up for another job, stopped, killed, timed out."""

import threading

import numpy as np
import psutil
import pytest

from store import job_files
from store.files.dataset import DatasetFile
from store.files.job_map import JobMap
from store.jobs import Job
from tests.support.waiting import wait_until
from tests.workers.attempt.test_job_rows import rows_of
from tests.workers.workplace import SPLITS, OpenWorkplace, Workplace, children

QUICK = {"epochs": 2, "seed": 3, "l2": 1.0}
MANY = {"train": 9_000, "test": 3_000}
"""So many rows that drawing them takes long enough to be disturbed."""


def map_of(workplace: Workplace, job: Job) -> JobMap:
    with workplace.store.database.read() as tx:
        file = job_files.get(tx, "default", job.id, job_files.MAP)
    return JobMap.from_bytes(workplace.store.artifacts.get_bytes("default", file.sha256))


def drawing_for(workplace: Workplace, seconds: float) -> None:
    workplace.settings = workplace.settings.model_copy(update={"map_seconds": seconds})


def drawers() -> list[psutil.Process]:
    """The processes that draw."""
    return [one for one in children() if "workers.child.draw" in one.cmdline()]


@pytest.fixture(scope="module")
def place_of_a_map(
    open_workplace: OpenWorkplace, tmp_path_factory: pytest.TempPathFactory
) -> Workplace:
    place = open_workplace(tmp_path_factory.mktemp("map"))
    drawing_for(place, 3600)
    return place


@pytest.fixture(scope="module")
def done(place_of_a_map: Workplace) -> Job:
    """A job whose map was drawn."""
    dataset = place_of_a_map.add_dataset(n_mislabelled=6)
    ended = place_of_a_map.run(
        place_of_a_map.submit({"seed": 3, "max_steps": 60}, method="auto", dataset=dataset)
    )
    assert ended is not None
    assert ended.status == "succeeded"
    return ended


def test_the_points_are_the_rows(place_of_a_map: Workplace, done: Job) -> None:
    found, (rows, _) = map_of(place_of_a_map, done), rows_of(place_of_a_map, done)
    assert found.about["splits"] == list(SPLITS)
    assert found.about["n_rows"] == SPLITS
    assert found.about["classes"] == list(rows.classes)
    assert found.about["ood_threshold"] == rows.ood_threshold
    columns = found.columns
    for index, (split, one) in enumerate(rows.splits.items()):
        here = columns["split"] == index
        said = one.predictions["auto"]
        np.testing.assert_array_equal(columns["row"][here], np.arange(SPLITS[split]))
        np.testing.assert_array_equal(columns["label"][here], one.label)
        np.testing.assert_array_equal(columns["predicted"][here], said.predicted)
        np.testing.assert_array_equal(columns["label_probability"][here], said.label_probability)
        np.testing.assert_array_equal(columns["ood_score"][here], one.ood_score)
    suspected = columns["row"][columns["suspected"] == 1]
    np.testing.assert_array_equal(np.sort(rows.suspects.rows), suspected)


def test_the_planes_are_principal_axes_and_tsne(place_of_a_map: Workplace, done: Job) -> None:
    found, (rows, _) = map_of(place_of_a_map, done), rows_of(place_of_a_map, done)
    assert found.tsne == "drawn"
    n_points = sum(SPLITS.values())
    for name in ("pca_raw", "pca_tuned", "tsne_raw", "tsne_tuned"):
        assert found.columns[name].shape == (n_points, 2)
        assert found.columns[name].max() == 65_535
    path = place_of_a_map.store.artifacts.open_path("default", rows.dataset_sha256)
    x = np.concatenate([one.x for one in DatasetFile.open(path).splits.values()])
    values = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
    np.testing.assert_allclose(
        found.about["explained_variance"]["raw"], (values / values.sum())[:2], rtol=1e-2
    )


def test_training_rows_that_a_candidate_learnt_from_have_no_prediction(
    place_of_a_map: Workplace,
) -> None:
    drawing_for(place_of_a_map, 0)
    ended = place_of_a_map.run(place_of_a_map.submit(QUICK))
    drawing_for(place_of_a_map, 3600)
    assert ended is not None
    found = map_of(place_of_a_map, ended)
    assert "NMTUNE_MAP_SECONDS=0" in found.tsne
    predicted = found.columns["predicted"]
    assert set(predicted[found.columns["split"] == 0].tolist()) == {65_535}
    assert predicted[found.columns["split"] != 0].max() < 3


def test_the_time_limit_leaves_the_axes(workplace: Workplace) -> None:
    drawing_for(workplace, 0.05)
    job = workplace.submit(QUICK, dataset=workplace.add_dataset(MANY))
    ended = workplace.run(job)
    assert ended is not None
    assert ended.status == "succeeded"
    found = map_of(workplace, ended)
    assert found.tsne == "pending"
    assert found.as_of(3600).tsne.startswith("Not drawn: in the 0.05 seconds")
    assert len(found.columns["row"]) == 10_000
    assert not drawers()


def test_a_killed_drawing_leaves_a_succeeded_job(workplace: Workplace) -> None:
    drawing_for(workplace, 3600)
    job = workplace.submit(QUICK, dataset=workplace.add_dataset(MANY))
    with workplace.running(job):
        wait_until(lambda: bool(drawers()))
        assert workplace.read(job).status == "succeeded"
        drawers()[0].kill()
    assert workplace.read(job).status == "succeeded"
    assert map_of(workplace, job).tsne == "pending"


def test_a_stopping_worker_waits_for_no_drawing(workplace: Workplace) -> None:
    drawing_for(workplace, 3600)
    job = workplace.submit(QUICK, dataset=workplace.add_dataset(MANY))
    stopping = threading.Event()
    with workplace.running(job, stopping=stopping):
        wait_until(lambda: bool(drawers()))
        stopping.set()
    assert workplace.read(job).status == "succeeded"
    assert not drawers()


def test_the_next_job_waits_for_no_drawing(workplace: Workplace) -> None:
    drawing_for(workplace, 3600)
    job = workplace.submit(QUICK, dataset=workplace.add_dataset(MANY))
    with workplace.running(job):
        wait_until(lambda: bool(drawers()))
        second = workplace.submit(QUICK)
    assert workplace.read(job).status == "succeeded"
    assert workplace.read(second).status == "queued"
    assert map_of(workplace, job).tsne == "pending"
    assert not drawers()

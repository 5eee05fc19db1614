"""The rows behind a real job's numbers: shown, saved, mapped, and what a killed worker loses."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nmtune_client import Client, Job
from nmtune_client._cli.main import main

from tests.support.processes import Process, Site
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


def many(n_rows: int) -> dict[str, Any]:
    """So many rows that their drawing takes a while."""
    random = np.random.default_rng(1)
    y = np.arange(n_rows) % 3
    x = (np.eye(3, 16)[y] * 2 + random.normal(size=(n_rows, 16))).astype(np.float32)
    return {"train_x": x, "train_y": y, "class_names": np.array(["a", "b", "c"])}


@pytest.fixture(scope="module")
def job(house: Process) -> Job:
    """A job on labelled rows with ids, some of them mislabelled."""
    random = np.random.default_rng(3)
    y = np.arange(360) % 3
    x = (np.eye(3, 8)[y] * 4 + random.normal(size=(360, 8))).round(4)
    labels = np.array(["cat", "dog", "owl"])[y]
    labels[:4] = ["dog", "owl", "cat", "dog"]
    body = ["id,label,split," + ",".join(f"x{at}" for at in range(8))]
    for row in range(360):
        split = "test" if row % 5 == 4 else "train"
        values = ",".join(map(str, x[row]))
        body.append(f"ticket-{row},{labels[row]},{split},{values}")
    path = house.log_path.parent / "rows.csv"
    path.write_text("\n".join(body) + "\n")
    dataset = house.client.datasets.upload(path, embedding="x*")
    return house.client.jobs.create(dataset=dataset.id, name="tickets").wait(timeout=180)


def test_errors_and_suspects_have_the_names_of_the_users_file(job: Job) -> None:
    suspects = list(job.rows(only="suspected", sort="suspicion", neighbours=True))
    assert len({one.id for one in suspects} & {f"ticket-{row}" for row in range(4)}) >= 3
    for one in suspects:
        assert one.id == f"ticket-{one.file_row}"
        assert one.neighbours is not None
        assert [near.id for near in one.neighbours] == [
            f"ticket-{near.file_row}" for near in one.neighbours
        ]
    report = job.report()
    metrics = report.candidate(report.method).metrics["test"]
    n_wrong = len(list(job.rows(only="errors", split="test")))
    assert n_wrong == round((1 - metrics.accuracy) * metrics.n_rows)


def test_gained_and_lost_are_those_of_the_comparison(job: Job) -> None:
    for pair in job.report().comparison:
        if pair.split != "test":
            continue
        whose = {"candidate": pair.candidate, "against": pair.baseline, "split": "test"}
        assert len(list(job.rows(only="gained", **whose))) == pair.n_gained
        assert len(list(job.rows(only="lost", **whose))) == pair.n_lost


def test_all_rows_as_parquet_csv_and_frame(
    job: Job, house: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert house.url is not None
    monkeypatch.setenv("NMTUNE_URL", house.url)
    frame = pd.read_parquet(job.save_rows(tmp_path / "rows.parquet"))
    assert len(frame) == 360
    assert sorted(frame["file_row"]) == list(range(360))
    listed = pd.DataFrame(job.rows())
    assert listed["id"].tolist() == frame["id"].tolist()
    np.testing.assert_allclose(listed["label_probability"], frame["label_probability"], atol=1e-5)
    path = tmp_path / "rows.csv"
    assert main(["rows", job.id, "--only", "errors", "--out", str(path)]) == 0
    with path.open(newline="") as file:
        ids = [line["id"] for line in csv.DictReader(file)]
    assert ids == [row.id for row in job.rows(only="errors")]


def test_a_map_holds_all_of_few_rows(job: Job) -> None:
    points = job.map()
    assert len(points) == 360
    assert points.splits == ("train", "test")
    assert points.classes == ("cat", "dog", "owl")
    assert points.suspected.sum() == len(list(job.rows(only="suspected")))
    assert "NMTUNE_MAP_SECONDS=0" in points.tsne


def test_a_worker_killed_while_it_draws_loses_the_drawing_alone(site: Site) -> None:
    house = site.start("up", NMTUNE_MAP_SECONDS="600", NMTUNE_N_THREADS="1")
    dataset = house.client.datasets.upload(many(12_000), name="many")
    job = house.client.jobs.create(dataset=dataset.id, name="many", config={"epochs": 1})
    job.wait(timeout=300)
    drawing = wait_until(house.trainings)
    assert "workers.child.draw" in drawing[0].cmdline()
    house.kill()
    wait_until(lambda: not any(one.is_running() for one in drawing))
    again = site.start("up")
    job = again.client.jobs.get(job.id)
    assert (job.status, job.data.attempt) == ("succeeded", 1)
    assert len(job.map()) == 10_000
    assert job.map().tsne == "pending"
    assert not list((site.data_dir / "work").iterdir())
    assert not again.trainings()


def test_a_drawn_map_replaces_the_first(site: Site) -> None:
    house = site.start("up", NMTUNE_MAP_SECONDS="600")
    dataset = house.client.datasets.upload(many(300), name="few")
    job = house.client.jobs.create(dataset=dataset.id, name="few", config={"epochs": 1})
    job.wait(timeout=180)
    wait_until(lambda: job.map().tsne == "drawn" and "tsne_raw" in job.map().planes)
    wait_until(lambda: not house.trainings())
    with Client(house.url) as client:
        assert set(client.jobs.get(job.id).map().planes) == {
            "pca_raw",
            "pca_tuned",
            "tsne_tuned",
            "tsne_raw",
        }

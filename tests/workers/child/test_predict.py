"""Predictions of a whole dataset as jobs: what they write, how they end, what they refuse."""

import contextlib
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from sqlalchemy import update

from nmtune import Head
from nmtune.serving.folded import fold
from nmtune.serving.session import Session
from nmtune.trust.self_test import SelfTest
from store import datasets, jobs, outputs, transitions
from store.database import tables
from store.datasets import Dataset
from store.errors import OutputNotReady
from store.files import rows as rows_file
from store.files.rows import Ids
from store.jobs import Job
from store.registry import head_deletion, heads
from store.registry.heads import NewHeadVersion
from tests.store.made_rows import flip
from tests.support.waiting import wait_until
from tests.workers.workplace import (
    CLASSES,
    N_COLUMNS,
    OpenWorkplace,
    Workplace,
    children,
    start_worker,
)

OPTIONS: dict[str, Any] = {"format": "parquet", "output": "probabilities"}


@pytest.fixture(scope="module")
def head_bytes(open_workplace: OpenWorkplace, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A head that a training job published."""
    place = open_workplace(tmp_path_factory.mktemp("training"))
    ended = place.run(place.submit({"l2": 1.0}, method="linear_probe"))
    assert ended is not None
    assert ended.status == "succeeded", ended.error
    return place.store.artifacts.get_bytes("default", place.head_sha256(ended))


@pytest.fixture
def place(workplace: Workplace, head_bytes: bytes) -> Workplace:
    """A workplace with the head pets@1, which is also pets@prod."""
    job = workplace.submit({"l2": 1.0}, method="linear_probe")
    reference = workplace.store.artifacts.put_bytes("default", head_bytes)
    report = workplace.store.artifacts.put_bytes("default", b"{}")
    head = NewHeadVersion(
        name="pets",
        sha256=reference.sha256,
        size_bytes=reference.size_bytes,
        method="linear_probe",
        n_columns=N_COLUMNS,
        classes=CLASSES,
        n_parameters=1,
        config={},
        metrics={},
        alias="prod",
    )
    with workplace.store.database.begin() as tx:
        claimed = transitions.claim(tx, job.id, worker="tests", lease_seconds=60)
        assert claimed is not None
        transitions.succeed(tx, claimed, report_sha256=report.sha256, head=head)
    return workplace


def rows(n_rows: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(11).normal(size=(n_rows, N_COLUMNS)).astype(np.float32)


def add_rows(place: Workplace, x: np.ndarray[Any, Any], *, ids: list[str] | None = None) -> Dataset:
    """Rows without labels, as an upload stores them."""
    path = place.settings.data_dir / "rows.safetensors"
    rows_file.write(
        path,
        np.array_split(x, 3),
        n_rows=len(x),
        n_columns=x.shape[1],
        dtype=x.dtype,
        ids=None if ids is None else Ids.of(ids),
    )
    reference = place.store.artifacts.put_file("default", path)
    with place.store.database.begin() as tx:
        return datasets.add(
            tx,
            "default",
            name="rows",
            sha256=reference.sha256,
            size_bytes=reference.size_bytes,
            n_rows=len(x),
            n_columns=x.shape[1],
            classes=[],
            splits=[{"name": "rows", "n_rows": len(x), "class_counts": []}],
            profile={},
        )


def submit(place: Workplace, dataset: Dataset, **options: Any) -> Job:
    with place.store.database.begin() as tx:
        return jobs.submit(
            tx,
            "default",
            name="pets",
            dataset_id=dataset.id,
            method="linear_probe",
            config=OPTIONS | options,
            predicting=("pets", 1),
        )


def output(place: Workplace, job: Job | None) -> bytes:
    assert job is not None
    assert job.status == "succeeded", job.error
    found = outputs.of_job(job)
    data = place.store.artifacts.get_bytes("default", found.sha256)
    assert len(data) == found.size_bytes
    return data


def table(place: Workplace, job: Job | None) -> Any:
    return pq.read_table(io.BytesIO(output(place, job)))


def expected(head_bytes: bytes, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the service's engine says, pass by pass."""
    engine = Session(fold(Head.from_bytes(head_bytes)), n_threads=2)
    passes = [engine.run(x[at : at + 1024]).probabilities for at in range(0, len(x), 1024)]
    return np.concatenate(passes)


def test_each_row_has_its_id_label_and_probabilities_bit_for_bit(
    place: Workplace, head_bytes: bytes
) -> None:
    x = rows(2500)
    ids = [f"räw {number}" for number in range(len(x))]
    job = place.run(submit(place, add_rows(place, x, ids=ids)))
    found = table(place, job)
    assert found.column_names == ["id", "label", "probability", "probabilities"]
    assert found["id"].to_pylist() == ids
    probabilities = expected(head_bytes, x)
    values = found["probabilities"].combine_chunks().flatten().to_numpy()
    assert values.reshape(-1, 3).tobytes() == probabilities.tobytes()
    assert found["label"].to_pylist() == [CLASSES[at] for at in probabilities.argmax(axis=1)]
    about = json.loads(found.schema.metadata[b"nmtune"])
    assert (about["head"], about["classes"]) == ("pets@1", list(CLASSES))
    assert job is not None
    assert job.output is not None
    assert job.output["n_rows"] == 2500
    assert place.events(job)[-1].type == "job.succeeded"
    assert place.progress(job)[-1]["fraction"] == 1


def test_the_other_formats_say_the_same(place: Workplace, head_bytes: bytes) -> None:
    x = rows(1100)
    dataset = add_rows(place, x)
    probabilities = expected(head_bytes, x)
    lines = output(place, place.run(submit(place, dataset, format="jsonl"))).splitlines()
    objects = [json.loads(line) for line in lines]
    assert [one["id"] for one in objects] == list(range(1100))
    again = [[one["probabilities"][name] for name in CLASSES] for one in objects]
    assert np.array(again, np.float32).tobytes() == probabilities.tobytes()
    text = output(place, place.run(submit(place, dataset, format="csv"))).decode()
    records = list(csv.DictReader(io.StringIO(text)))
    again = [[float(one[f"probabilities:{name}"]) for name in CLASSES] for one in records]
    assert np.array(again, np.float32).tobytes() == probabilities.tobytes()
    assert [one["label"] for one in records] == [one["label"] for one in objects]


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_options_are_those_of_a_prediction(place: Workplace, form: str) -> None:
    options = {"top_k": 2, "abstain_below": 0.9, "ood": True, "format": form}
    data = output(place, place.run(submit(place, add_rows(place, rows(50)), **options)))
    if form == "parquet":
        found = pq.read_table(io.BytesIO(data)).to_pylist()
        assert {len(one["top_labels"]) for one in found} == {2}
        assert all(one["top_labels"][0] == one["label"] for one in found if one["label"])
        assert all((one["label"] is None) == (one["probability"] < 0.9) for one in found)
        assert {type(one["is_ood"]) for one in found} == {bool}
    elif form == "csv":
        found = list(csv.DictReader(io.StringIO(data.decode())))
        assert {"top_labels:2", "top_probabilities:2", "ood_score"} <= set(found[0])
        assert {one["is_ood"] for one in found} <= {"true", "false"}
    else:
        found = [json.loads(line) for line in data.splitlines()]
        assert {type(one["is_ood"]) for one in found} == {bool}
        assert {len(one["top_probabilities"]) for one in found} == {2}
    assert len(found) == 50


def test_tuned_embeddings_come_too(place: Workplace) -> None:
    found = table(place, place.run(submit(place, add_rows(place, rows(20)), output="embeddings")))
    assert found.column_names == ["id", "embedding"]


def test_labels_of_a_labelled_dataset_stand_beside_the_predictions(place: Workplace) -> None:
    dataset = place.add_dataset()
    found = table(place, place.run(submit(place, dataset)))
    assert found.num_rows == dataset.n_rows
    assert set(found["split"].to_pylist()) == {one["name"] for one in dataset.splits}
    pairs = zip(found["label"].to_pylist(), found["true_label"].to_pylist(), strict=True)
    assert sum(said == true for said, true in pairs) > dataset.n_rows / 2


def test_what_the_head_has_not_learnt_fails_at_once_and_says_so(place: Workplace) -> None:
    job = place.run(submit(place, add_rows(place, rows(10)), conformal_level=0.995))
    assert job is not None
    assert (job.status, job.attempt) == ("failed", 1)
    assert job.error is not None
    assert job.error["field"] == "conformal_level"
    assert job.output_sha256 is None


def test_a_row_too_large_is_named(place: Workplace) -> None:
    x = rows(30)
    x[17, 3] = 3e38
    job = place.run(submit(place, add_rows(place, x, ids=[f"row-{at}" for at in range(30)])))
    assert job is not None
    assert job.error is not None
    assert (job.status, job.error["code"]) == ("failed", "invalid_data")
    assert "row-17" in job.error["message"]


def test_a_head_deleted_meanwhile_is_a_clear_failure(place: Workplace) -> None:
    job = submit(place, add_rows(place, rows(10)))
    with place.store.database.begin() as tx:
        head_deletion.delete_head(tx, "default", "pets", force=True)
    ended = place.run(job)
    assert ended is not None
    assert ended.error is not None
    assert (ended.status, ended.error["code"], ended.attempt) == ("failed", "head_deleted", 1)
    assert "pets@1" in ended.error["message"]


def test_an_alias_that_goes_changes_nothing(place: Workplace) -> None:
    job = submit(place, add_rows(place, rows(10)))
    with place.store.database.begin() as tx:
        heads.delete_alias(tx, "default", "pets", "prod")
    ended = place.run(job)
    assert ended is not None
    assert (ended.status, ended.head_name, ended.head_version) == ("succeeded", "pets", 1)


def big(place: Workplace) -> Dataset:
    """Rows that take seconds."""
    return add_rows(place, np.tile(rows(10_000), (60, 1)))


def is_predicting(place: Workplace, job: Job) -> bool:
    progress = place.read(job).progress
    return progress is not None and 0 < progress["fraction"] < 1


def test_cancelled_in_the_middle_it_leaves_no_file_and_no_process(place: Workplace) -> None:
    job = submit(place, big(place), format="jsonl", top_k=2)
    with place.running(job):
        wait_until(lambda: is_predicting(place, job))
        place.request_cancel(job)
    ended = place.read(job)
    assert (ended.status, ended.output_sha256) == ("cancelled", None)
    assert not children()
    assert not list(place.settings.work_dir.glob("job_*"))


@pytest.mark.slow
def test_killed_in_the_middle_it_is_done_again_with_one_output(place: Workplace) -> None:
    job = submit(place, big(place), format="jsonl")
    worker = start_worker(place)
    try:
        wait_until(lambda: is_predicting(place, job))
        for child in children():
            child.kill()
        wait_until(lambda: place.read(job).status.is_final)
    finally:
        worker.stop()
    ended = place.read(job)
    assert (ended.status, ended.attempt) == ("succeeded", 2), ended.error
    lines = output(place, ended).splitlines()
    assert len(lines) == 600_000
    assert json.loads(lines[-1])["id"] == 599_999


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(place: Workplace) -> None:
    """The process holds a block, not the file: 128 MB of rows raise its peak by far less."""

    def peak(n_rows: int) -> int:
        job = submit(place, add_rows(place, np.tile(rows(10_000), (n_rows // 10_000, 1))))
        most = 0
        with place.running(job):
            while not place.read(job).status.is_final:
                for child in children():
                    with contextlib.suppress(psutil.NoSuchProcess):
                        if (
                            "workers.child.main" in child.cmdline()
                        ):  # before exec it is still our copy
                            most = max(most, child.memory_info().rss)
        assert place.read(job).status == "succeeded"
        assert most > 0
        return most

    few = peak(300_000)
    assert peak(2_000_000) - few < 40 << 20


def test_the_output_is_deleted_really_and_once(place: Workplace) -> None:
    dataset = add_rows(place, rows(10))
    first, twin = (place.run(submit(place, dataset, format="csv")) for _ in range(2))
    assert first is not None
    assert twin is not None
    assert first.output_sha256 == twin.output_sha256, "the same rows and head"
    with place.store.database.begin() as tx:
        assert outputs.delete(tx, "default", first.id) is None, "the twin still has it"
    with place.store.database.begin() as tx:
        unnamed = outputs.delete(tx, "default", twin.id)
    assert unnamed is not None
    assert unnamed.sha256 == twin.output_sha256
    with pytest.raises(OutputNotReady, match="deleted"):
        outputs.of_job(place.read(first))


def path_of(place: Workplace, sha256: str) -> Path:
    return place.store.artifacts.open_path("default", sha256)


def assert_corrupt(job: Job | None, *, attempt: int = 1) -> None:
    assert job is not None
    assert job.error is not None, job.status
    assert (job.status, job.error["code"]) == ("failed", "artifact_corrupt")
    assert "damaged" in job.error["message"]
    assert (job.attempt, job.output_sha256) == (attempt, None)


def test_a_head_used_before_and_changed_since_predicts_nothing(place: Workplace) -> None:
    dataset = add_rows(place, rows(90))
    sound = output(place, place.run(submit(place, dataset, format="csv")))
    with place.store.database.read() as tx:
        path = path_of(place, heads.version(tx, "default", "pets", 1).sha256)
    flip(path)
    assert_corrupt(place.run(submit(place, dataset, format="csv")))
    flip(path)
    assert output(place, place.run(submit(place, dataset, format="csv"))) == sound


def test_rows_used_before_and_changed_since_are_not_predicted(place: Workplace) -> None:
    dataset = add_rows(place, rows(90), ids=[f"r{at}" for at in range(90)])
    output(place, place.run(submit(place, dataset)))
    path = path_of(place, dataset.sha256)
    for at in (100, path.stat().st_size // 2, path.stat().st_size - 1):  # also ids and header
        flip(path, at)
        assert_corrupt(place.run(submit(place, dataset)))
        flip(path, at)


def test_rows_that_change_while_they_are_predicted_give_no_output(place: Workplace) -> None:
    dataset = big(place)
    path = path_of(place, dataset.sha256)
    job = submit(place, dataset, format="jsonl", top_k=2)
    with place.running(job):
        wait_until(lambda: is_predicting(place, job))
        flip(path)
    waiting = place.read(job)
    assert (waiting.status, waiting.attempt) == ("queued", 1), "it may have been a copy of ours"
    wait_until(lambda: (ended := place.run(job)) is not None and ended.status.is_final)
    assert_corrupt(place.read(job), attempt=2)


def test_a_head_that_does_not_answer_as_when_it_was_published_predicts_nothing(
    place: Workplace,
    head_bytes: bytes,
) -> None:
    """Its bytes are as stored: what computes with them is not as it was."""
    head = Head.from_bytes(head_bytes)
    assert head.self_test is not None
    shifted = SelfTest(
        x=head.self_test.x, probabilities=np.roll(head.self_test.probabilities, 1, axis=1)
    )
    other = Head(
        head.members, classes=head.classes, temperature=head.temperature, self_test=shifted
    )
    wrong = place.store.artifacts.put_bytes("default", other.to_bytes())
    with place.store.database.begin() as tx:
        tx.execute(update(tables.head_versions).values(sha256=wrong.sha256))
    job = place.run(submit(place, add_rows(place, rows(10))))
    assert job is not None
    assert job.error is not None
    assert (job.status, job.error["code"], job.attempt) == ("failed", "canary_mismatch", 1)
    assert job.output_sha256 is None

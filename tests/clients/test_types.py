"""How answers become values: what is known is read, what is new is let be, what lacks is told."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from nmtune_client import Dataset, Event, Head, HeadRef, HeadVersion, JobData, Prediction

DATASET = {
    "id": "ds_1",
    "name": "clinc",
    "n_rows": 12,
    "n_columns": 3,
    "classes": ["cat", "dog"],
    "splits": [{"name": "ood/sketch", "n_rows": 12, "class_counts": {"cat": 6, "dog": 6}}],
    "profile": {},
    "warnings": [],
    "sha256": "00",
    "size_bytes": 144,
    "created_at": "2026-11-24T03:21:46Z",
}


def test_dataset_is_read_with_times_and_splits() -> None:
    dataset = Dataset.from_json(DATASET)
    assert dataset.classes == ("cat", "dog")
    assert dataset.splits[0].class_counts == {"cat": 6, "dog": 6}
    assert dataset.created_at == datetime(2026, 11, 24, 3, 21, 46, tzinfo=UTC)
    assert dataset.raw is DATASET


def test_fields_of_a_newer_server_are_let_be(job_json: Callable[..., dict[str, Any]]) -> None:
    newer = {"owner": "me", "quota": {"left": 3}}
    assert Dataset.from_json(DATASET | newer) == Dataset.from_json(DATASET)
    job = JobData.from_json(job_json(progress={"fraction": 0.5, "speed": 3}, **newer))
    assert job.progress is not None
    assert job.progress.fraction == 0.5
    assert job.raw["owner"] == "me"


@pytest.mark.parametrize("kind", [Dataset, JobData, Event, Head, HeadVersion, HeadRef])
@pytest.mark.parametrize("data", [None, [], "text", {}, {"detail": "Not NMTune"}])
def test_an_answer_that_lacks_what_is_needed_is_told(kind: Any, data: object) -> None:
    with pytest.raises(ValueError, match=r"missing|expected an object"):
        kind.from_json(data)


def test_values_do_not_change(job_json: Callable[..., dict[str, Any]]) -> None:
    job = JobData.from_json(job_json())
    with pytest.raises(AttributeError):
        job.status = "done"  # type: ignore[misc] # the point of the test


def test_references_read_as_they_are_asked_for() -> None:
    assert str(HeadRef(name="pets", version=3)) == "pets@3"
    version = {"name": "pets", "version": 3, "aliases": ["prod"]}
    head = Head.from_json({"name": "pets", "latest_version": 3, "versions": [version]})
    assert (str(head), str(head.versions[0])) == ("pets", "pets@3")


def test_final_is_what_ends_a_job() -> None:
    def job(status: str) -> JobData:
        return JobData(id="job_1", name="pets", status=status)

    assert all(job(status).is_final for status in ("succeeded", "failed", "cancelled"))
    assert not any(job(status).is_final for status in ("queued", "running", "paused"))
    assert Event(id="evt_000001", type="job.failed").is_final
    assert not Event(id="evt_000001", type="job.cancel_requested").is_final


def test_top_classes_come_best_first() -> None:
    prediction = Prediction(
        values={
            "labels": np.array(["b", "a"]),
            "probabilities": np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]], dtype=np.float32),
        },
        classes=("a", "b", "c"),
        head_name="pets",
        head_version=1,
    )
    assert len(prediction) == 2
    assert [[label for label, _ in row] for row in prediction.top(2)] == [["b", "c"], ["a", "c"]]

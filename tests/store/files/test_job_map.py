"""The file of a map: there and back, drawn, and pending only while it can still be drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load

from store.errors import InvalidDatasetFile
from store.files.job_map import DRAWN, GRACE_SECONDS, PENDING, STEPS, JobMap, quantised


def made(tsne: str = PENDING, n_points: int = 4) -> JobMap:
    plane = np.arange(2 * n_points, dtype=np.float32).reshape(n_points, 2)
    return JobMap(
        columns={
            "split": np.zeros(n_points, np.uint8),
            "row": np.arange(n_points, dtype=np.uint32),
            "label": np.zeros(n_points, np.uint16),
            "predicted": np.zeros(n_points, np.uint16),
            "label_probability": np.zeros(n_points, np.uint16),
            "ood_score": np.full(n_points, np.nan, np.float32),
            "suspected": np.zeros(n_points, np.uint8),
            "pca_raw": quantised(plane),
            "pca_tuned": quantised(plane),
        },
        about={
            "classes": ["ca\u0301t", '"<script>'],
            "splits": ["train"],
            "n_rows": {"train": n_points},
            "explained_variance": {"raw": [0.5, 0.25], "tuned": [1.0, 0.0]},
            "ood_threshold": None,
            "tsne": tsne,
            "tsne_seconds": 60.0,
        },
    )


def test_a_map_comes_back_as_it_was() -> None:
    data = made().to_bytes()
    found = JobMap.from_bytes(data)
    assert found.about == made().about
    assert found.to_bytes() == data
    assert set(load(data)) == set(made().columns)


def test_the_safetensors_library_reads_its_metadata(tmp_path: Path) -> None:
    path = tmp_path / "map"
    path.write_bytes(made().to_bytes())
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    assert json.loads(metadata["classes"]) == ["ca\u0301t", '"<script>']
    assert metadata["tsne"] == PENDING


def test_ten_thousand_points_take_less_than_400_kb() -> None:
    one = made(n_points=10_000)
    plane = np.random.default_rng(0).normal(size=(10_000, 2))
    data = one.drawn({"tsne_raw": plane, "tsne_tuned": plane}).to_bytes()
    assert len(data) < 400_000


def test_planes_keep_their_proportions() -> None:
    found = quantised(np.array([[-1.0, 5.0], [3.0, 6.0], [1.0, 5.0]]))
    np.testing.assert_array_equal(found, [[0, 0], [STEPS, 16384], [32768, 0]])
    np.testing.assert_array_equal(quantised(np.full((3, 2), 7.0)), np.zeros((3, 2)))


def test_drawing_adds_its_planes() -> None:
    plane = np.array([[0.0, 0], [1, 1], [2, 2], [3, 0]])
    found = JobMap.from_bytes(made().drawn({"tsne_tuned": plane}).to_bytes())
    assert found.tsne == DRAWN
    np.testing.assert_array_equal(found.columns["tsne_tuned"], quantised(plane))
    assert "tsne_raw" not in found.columns


def test_pending_is_said_only_while_it_can_be_true() -> None:
    pending = made()
    assert pending.as_of(0).tsne == PENDING
    assert pending.as_of(60 + GRACE_SECONDS).tsne == PENDING
    late = pending.as_of(61 + GRACE_SECONDS)
    assert late.tsne.startswith("Not drawn: in the 60 seconds")
    assert set(late.columns) == set(pending.columns)
    for said in (DRAWN, "Not drawn: there are too few rows."):
        assert made(said).as_of(1e9).tsne == said


@pytest.mark.parametrize("at", [0, 8, 12, 40, -1])
def test_what_is_no_map_is_refused(at: int) -> None:
    data = made().to_bytes()
    with pytest.raises(InvalidDatasetFile):
        JobMap.from_bytes(data[:at])

"""The .npz reader under arbitrary bytes and arrays: a whole dataset, or BadInput."""

import json
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.ingest.dataset.npz import read
from service.ingest.errors import BadInput
from store.files.dataset import DatasetFile
from tests.support.files.arrays import npz
from tests.support.files.hostile import GOOD

FUZZ = settings(
    max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def check_contract(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dataset.safetensors").unlink(missing_ok=True)
    with TemporaryFile() as file:
        file.write(content)
        try:
            dataset = read(file, workdir=tmp_path)
        except BadInput:
            return
    opened = DatasetFile.open(dataset.path)
    assert opened.classes == dataset.classes
    assert [split["name"] for split in dataset.splits] == list(opened.splits)
    assert all(np.isfinite(split.x).all() for split in opened.splits.values())
    json.dumps([dataset.splits, dataset.profile, dataset.warnings], allow_nan=False)


@FUZZ
@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=4))
def test_any_changed_byte_reads_or_is_bad_input(
    tmp_path: Path, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(GOOD)
    for place, value in changes:
        content[place % len(content)] = value
    check_contract(tmp_path, bytes(content))


@FUZZ
@given(st.integers(1, 400), st.integers(0, 255))
def test_any_change_of_the_directory_reads_or_is_bad_input(
    tmp_path: Path, from_the_end: int, value: int
) -> None:
    content = bytearray(GOOD)
    content[-from_the_end] = value
    check_contract(tmp_path, bytes(content))


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes_read_or_are_bad_input(tmp_path: Path, content: bytes) -> None:
    check_contract(tmp_path, b"PK\x03\x04" + content)
    check_contract(tmp_path, GOOD[:60] + content + GOOD[60:])


NAMES = st.sampled_from(
    ["train_x", "train_y", "test_x", "test_y", "ood_a_x", "ood_a_y", "class_names", "other"]
)
MATRICES = st.tuples(st.integers(1, 4), st.integers(1, 3), st.sampled_from("efd")).map(
    lambda shape: np.ones(shape[:2], shape[2])
)
COLUMNS = st.lists(st.integers(-1, 3), min_size=1, max_size=4).map(np.array) | st.lists(
    st.text(max_size=3), min_size=1, max_size=4
).map(np.array)


@FUZZ
@given(
    st.dictionaries(NAMES, MATRICES | COLUMNS | st.binary(max_size=20), max_size=6),
    st.lists(st.integers(0, 1), min_size=4, max_size=4),
)
def test_any_arrays_read_or_are_bad_input(
    tmp_path: Path, arrays: dict[str, Any], y: list[int]
) -> None:
    check_contract(tmp_path, npz(arrays))
    check_contract(tmp_path, npz({"train_x": np.eye(4), "train_y": np.array(y)} | arrays))

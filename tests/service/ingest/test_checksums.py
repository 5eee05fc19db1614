"""A flipped bit in a file with checksums is refused, or mattered not; never another dataset."""

import gzip
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from service.ingest.dataset import npz as npz_reader
from service.ingest.errors import BadInput
from store.files.dataset import DatasetFile
from tests.service.in_process import InProcess, assert_problem
from tests.support.files.arrays import clouds, npz
from tests.support.files.tables import X, Y, csv_of, decoded, jsonl_of, lists, parquet, tensors

Rows = tuple[list[list[float]], list[str]]
N_FLIPS = 120


def table(folder: Path, name: str, content: bytes) -> Rows:
    """All rows of a table and their labels."""
    found = decoded(folder, name, content)
    label = found.columns["label"]
    x = np.concatenate(list(found.blocks(np.arange(found.n_rows))))
    return x.tolist(), [(label.names or ())[code] for code in label.codes]


def arrays(folder: Path, name: str, content: bytes) -> Rows:
    """All rows of an .npz and their classes."""
    path = folder / name
    path.write_bytes(content)
    with path.open("rb") as file:
        ready = npz_reader.read(file, workdir=folder)
    splits = DatasetFile.open(ready.path).splits.values()
    x = [row for split in splits for row in split.x.tolist()]
    return x, [ready.classes[index] for split in splits for index in split.y]


def _zstd() -> bytes:
    program = shutil.which("zstd")
    if program is None:
        pytest.skip("writes a frame with its checksum; pyarrow writes none")
    return subprocess.run(
        [program, "-c", "--check"], input=csv_of(), capture_output=True, check=True
    ).stdout


def _parquet(**options: object) -> Callable[[], bytes]:
    return lambda: parquet({"embedding": lists(), "label": Y}, write_page_checksum=True, **options)


FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "parquet": ("a.parquet", _parquet(compression="NONE")),
    "parquet, plain": ("a.parquet", _parquet(compression="NONE", use_dictionary=False)),
    "parquet, packed": ("a.parquet", _parquet(compression="SNAPPY")),
    "parquet, pages 2.0": ("a.parquet", _parquet(data_page_version="2.0", compression="NONE")),
    "gzip": ("a.csv.gz", lambda: gzip.compress(csv_of())),
    "gzip, JSON": ("a.jsonl.gz", lambda: gzip.compress(jsonl_of())),
    "gzip, two members": (
        "a.csv.gz",
        lambda: gzip.compress(csv_of()[:500]) + gzip.compress(csv_of()[500:]),
    ),
    "gzip, stored": ("a.csv.gz", lambda: gzip.compress(csv_of(), compresslevel=0)),
    "zstd": ("a.csv.zst", _zstd),
    "npz, deflated": ("a.npz", lambda: npz(clouds())),
    "npz, stored": ("a.npz", lambda: npz(clouds(), compressed=False)),
}


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_never_makes_another_dataset(tmp_path: Path, name: str) -> None:
    file_name, make = FILES[name]
    content = make()
    read = arrays if file_name.endswith("npz") else table
    (tmp_path / "whole").mkdir()
    whole = read(tmp_path / "whole", file_name, content)
    n_refused = 0
    for at in range(0, len(content), max(1, len(content) // N_FLIPS)):
        damaged = bytearray(content)
        damaged[at] ^= 1 << (at % 8)
        folder = tmp_path / str(at)
        folder.mkdir()
        try:
            assert read(folder, file_name, bytes(damaged)) == whole, f"byte {at}"
        except BadInput:
            n_refused += 1
        shutil.rmtree(folder)
    assert n_refused >= N_FLIPS // 4


def _flipped(content: bytes, at: int) -> bytes:
    damaged = bytearray(content)
    damaged[at] ^= 1
    return bytes(damaged)


@pytest.mark.parametrize("name", ["gzip, stored", "gzip", "gzip, JSON", "zstd"])
def test_damage_is_told_before_what_it_makes_of_the_values(tmp_path: Path, name: str) -> None:
    file_name, make = FILES[name]
    content = make()
    for at in range(30, len(content) - 8, 97):
        folder = tmp_path / str(at)
        folder.mkdir()
        with pytest.raises(BadInput) as caught:
            decoded(folder, file_name, _flipped(content, at))
        assert (caught.value.code, caught.value.malformed) == ("damaged_file", True), at


@pytest.mark.parametrize("unlabelled", [False, True])
def test_damage_of_a_stored_array_is_told_before_its_values(
    client: InProcess, unlabelled: bool
) -> None:
    x = np.ones((20, 2), np.float32)
    arrays = {"embeddings": x} if unlabelled else {"train_x": x, "train_y": np.arange(20) % 2}
    content = npz(arrays, compressed=False)
    high = content.index(x.tobytes()) + 3  # 1.0 becomes infinity with its next bits
    damaged = content[:high] + b"\x7f" + content[high + 1 :]
    params = {"unlabelled": "true"} if unlabelled else {}
    assert np.frombuffer(damaged[high - 3 : high + 1], "<f4")[0] > 1e38
    response = client.post("/datasets", params=params, files={"file": ("a.npz", damaged)})
    assert_problem(response, 400, "damaged_zip")


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_flipped_value_of_a_parquet_file_is_damage(client: InProcess, version: str) -> None:
    columns = {"embedding": lists(), "label": Y}
    options = {"compression": "NONE", "use_dictionary": False, "data_page_version": version}
    content = bytearray(parquet(columns, write_page_checksum=True, **options))
    content[content.index(X.tobytes()) + 2] ^= 1
    response = client.post("/datasets", files={"file": ("a.parquet", bytes(content))})
    assert_problem(response, 400, "damaged_file", "file")


ENDS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "gzip, wrong length": ("a.csv.gz", lambda: _flipped(gzip.compress(csv_of()), -1)),
    "gzip, wrong sum": ("a.csv.gz", lambda: _flipped(gzip.compress(csv_of()), -5)),
    "gzip, a byte short": ("a.csv.gz", lambda: gzip.compress(csv_of())[:-1]),
    "gzip, more behind": ("a.csv.gz", lambda: gzip.compress(csv_of()) + b"more"),
    "gzip, half a member behind": (
        "a.csv.gz",
        lambda: gzip.compress(csv_of()) + gzip.compress(csv_of())[:20],
    ),
    "zstd, a byte short": ("a.csv.zst", lambda: _zstd()[:-1]),
    "zstd, more behind": ("a.csv.zst", lambda: _zstd() + b"more"),
    "safetensors, more behind": ("a.safetensors", lambda: tensors("float32") + b"\0"),
    "safetensors, a byte short": ("a.safetensors", lambda: tensors("float32")[:-1]),
    "safetensors, a hole": (
        "a.safetensors",
        lambda: tensors("float32").replace(b'"data_offsets":[480,', b'"data_offsets":[488,'),
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_files_that_end_wrongly_are_damaged(tmp_path: Path, name: str) -> None:
    file_name, make = ENDS[name]
    with pytest.raises(BadInput) as caught:
        decoded(tmp_path, file_name, make())
    assert (caught.value.code, caught.value.malformed) == ("damaged_file", True)


@pytest.mark.parametrize("n_zeros", [1, 100, 3 << 20])
def test_zeros_behind_a_gzip_member_are_padding(tmp_path: Path, n_zeros: int) -> None:
    content = gzip.compress(csv_of()) + bytes(n_zeros)
    assert table(tmp_path, "a.csv.gz", content)[1] == Y

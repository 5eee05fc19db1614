"""The .npz reader under hostile and large files: refused at once, or read in bounded memory."""

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.service.ingest.npz_reading import prepared, refused
from tests.support.files.arrays import clouds, forged_npy, npy, zeros_member
from tests.support.files.hostile import HOSTILE_NPZ, X, Y, zipped
from tests.support.places import ROOT


def test_arrays_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, clouds(), max_bytes=800)
    assert error.code == "too_large"


@pytest.mark.parametrize("name", HOSTILE_NPZ)
def test_hostile_files_are_bad_input_at_once(tmp_path: Path, name: str) -> None:
    content, code = HOSTILE_NPZ[name]
    began = time.thread_time()
    error = refused(tmp_path, content)
    assert time.thread_time() - began < 1
    assert error.code == code
    assert len(error.message) < 400


def test_a_member_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        content = zipped([("train_x.npy", X), ("train_x.npy", X), ("train_y.npy", Y)])
    error = refused(tmp_path, content)
    assert (error.code, error.field, error.malformed) == ("duplicate_member", "train_x", True)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    content = zeros_member(1 << 30)
    assert len(content) < 6 << 20
    began = time.thread_time()
    error = refused(tmp_path, content)
    assert time.thread_time() - began < 1
    assert error.code == "suspicious_ratio"


def test_labels_that_shrink_a_thousandfold_are_no_bomb(tmp_path: Path) -> None:
    n_rows = 300_000
    arrays = {
        "train_x": np.random.default_rng(0).standard_normal((n_rows, 1)).astype("f2"),
        "train_y": np.sort(np.arange(n_rows) % 2),
    }
    assert prepared(tmp_path, arrays).n_rows == n_rows


_GROWTH = """
import re, sys, zlib
from pathlib import Path
import torch  # a spectrum may need it, once; here counts what the rows take
from service.ingest.dataset import npz

def high_water():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

before = high_water()
with open(sys.argv[1], "rb") as file:
    dataset = npz.read(file, workdir=Path(sys.argv[2]))
print(dataset.n_rows, high_water() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's own account")
@pytest.mark.parametrize("fortran", [False, True])
def test_a_large_file_is_never_in_memory_as_a_whole(tmp_path: Path, fortran: bool) -> None:
    n_rows, n_columns, dtype = 100_000, 512, np.dtype("f4")
    row = np.random.default_rng(0).standard_normal((1000, n_columns)).astype(dtype)
    path, workdir = tmp_path / "large.npz", tmp_path / "work"
    workdir.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("train_x.npy", "w", force_zip64=True) as member:
            shape = f"({n_rows}, {n_columns})"
            member.write(forged_npy(shape, fortran=str(fortran), data=b""))
            for _ in range(n_rows // len(row)):
                member.write(row.tobytes())
        archive.writestr("train_y.npy", npy(np.arange(n_rows) % 10))
    assert path.stat().st_size > 200e6
    answer = subprocess.run(
        [sys.executable, "-c", _GROWTH, path, workdir],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
        text=True,
    )
    rows, growth = map(int, answer.stdout.split())
    assert rows == n_rows
    assert growth < 100e6
    assert [file.name for file in workdir.iterdir()] == ["dataset.safetensors"]

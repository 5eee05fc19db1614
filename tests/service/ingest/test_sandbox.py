"""Foreign files are decoded by a process of its own, whose memory and time have limits."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.ingest.dataset.decoded import Decoded
from service.ingest.errors import BadInput
from service.ingest.formats.detect import Format, Kind
from service.ingest.isolate import sandbox
from service.ingest.names.columns import Wanted
from tests.support.files.tables import SAME, X, csv_of
from tests.support.files.wrong_tables import BAD


def decode(
    tmp_path: Path,
    content: bytes | Path,
    kind: Kind,
    *,
    max_bytes: int = 4 << 30,
    memory_bytes: int = sandbox.MEMORY_BYTES,
    seconds: float | None = None,
) -> Decoded:
    path = content if isinstance(content, Path) else tmp_path / "upload"
    if isinstance(content, bytes):
        path.write_bytes(content)
    return sandbox.decode(
        path,
        Format(kind=kind),
        wanted=Wanted(),
        workdir=tmp_path,
        max_bytes=max_bytes,
        memory_bytes=memory_bytes,
        seconds=seconds,
    )


def bomb(path: Path, n_rows: int, n_columns: int = 512) -> None:
    """Parquet of zeros: a thousandth of its size on disk, one value in its dictionary."""
    schema = pa.schema([("embedding", pa.list_(pa.float32(), n_columns)), ("label", pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        step = 20_000
        values = pa.array(np.zeros(step * n_columns, np.float32))
        x = pa.FixedSizeListArray.from_arrays(values, n_columns)
        batch = pa.table({"embedding": x, "label": ["a", "b"] * (step // 2)}, schema=schema)
        for _ in range(n_rows // step):
            writer.write_table(batch, row_group_size=n_rows)


def test_another_process_reads_the_same_rows(tmp_path: Path) -> None:
    found = decode(tmp_path, SAME["parquet, lists"][1], "parquet")
    np.testing.assert_array_equal(np.concatenate(list(found.blocks(np.arange(len(X))))), X)


def test_its_refusal_comes_back_whole(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        decode(tmp_path, BAD["csv, NaN"][1], "csv")
    error = caught.value
    assert (error.code, error.field, error.row, error.column) == ("not_finite", "a0", 1, 0)


def test_a_parquet_bomb_is_refused_in_seconds(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    bomb(path, 400_000)
    assert path.stat().st_size < 8 << 20
    began = time.monotonic()
    with pytest.raises(BadInput) as caught:
        decode(tmp_path, path, "parquet")
    assert caught.value.code in ("suspicious_ratio", "too_large")
    assert time.monotonic() - began < 30
    assert sum(file.stat().st_size for file in (tmp_path / "decoded").iterdir()) < 900 << 20


def test_a_row_that_fills_the_memory_is_refused(tmp_path: Path) -> None:
    huge = pa.ListArray.from_arrays(
        pa.array([0, 60_000_000], pa.int32()), pa.array(np.zeros(60_000_000, np.float32))
    )
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"embedding": huge, "label": ["a"]}), sink)
    with pytest.raises(BadInput) as caught:
        decode(tmp_path, sink.getvalue().to_pybytes(), "parquet", memory_bytes=300 << 20)
    assert caught.value.code == "too_large"


def test_a_reader_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    began = time.monotonic()
    with pytest.raises(BadInput) as caught:
        decode(tmp_path, tmp_path / "never", "csv", seconds=1)
    assert caught.value.code == "too_slow"
    assert time.monotonic() - began < 30


def test_the_process_sees_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMTUNE_S3_SECRET_ACCESS_KEY", "canary")
    assert "canary" not in sandbox._environment().values()


def test_the_process_starts_without_what_it_does_not_need() -> None:
    """torch alone takes seconds and a hundred megabytes."""
    code = (
        "import sys; from service.ingest.formats import array_file, csv, jsonl, parquet; "
        "print([name for name in ('torch', 'sqlalchemy', 'fastapi') if name in sys.modules])"
    )
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(
        command, env=sandbox._environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind: Kind) -> None:
    """A file of over 150 MB passes where 288 MiB may be allocated, libraries (130) included."""
    path = tmp_path / "upload"
    n_rows = 131_072 if kind == "parquet" else 16_384
    n_made = n_rows if kind == "parquet" else 1024
    x = np.random.default_rng(0).standard_normal((n_made, 512)).astype(np.float32)
    if kind == "parquet":
        lists = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 512)
        table = pa.table({"embedding": lists, "label": ["a", "b"] * (n_rows // 2)})
        pq.write_table(table, path, row_group_size=n_rows)
    else:
        names = [f"d{column}" for column in range(512)]
        header, _, rows = csv_of(x, ["a", "b"] * (n_made // 2), names=names).partition(b"\n")
        path.write_bytes(header + b"\n" + rows * (n_rows // n_made))
    found = decode(tmp_path, path, kind, memory_bytes=288 << 20)
    assert found.n_rows == n_rows

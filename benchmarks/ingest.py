"""How fast datasets of each format are taken in, beside the plain library call, in one run.

    python benchmarks/ingest.py [--rows 10000 100000] [--columns 384]
                                [--write docs/inside/benchmarks.md]

Ours is the whole way from the received file to the stored dataset: the decoding process, every
check, splits, profile, and the artifact storage (sha256, written, synced). Two references: the
plain call, which reads the file into an array and no more; and a durable copy, which is the plain
call, the sha256 of the array, and writing and syncing it: what storing the rows costs at the least.
`np.load` alone of a file in the page cache is one copy of memory.
"""

import argparse
import hashlib
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv as arrow_csv
from safetensors.numpy import load_file, save_file

from service.ingest.dataset import assemble, npz
from service.ingest.dataset.row_splits import SplitOptions
from service.ingest.formats.detect import detect
from service.ingest.isolate import sandbox
from service.ingest.names.columns import Wanted
from store.bytes.local import LocalArtifacts

MARK: Final = "ingest"
REPEATS: Final = 3
FORMATS: Final = ("npy", "npz", "safetensors", "parquet", "csv", "jsonl")
FOLDER: Final = Path.cwd()
"""On a disk: a temporary folder may be in memory, where syncing costs nothing."""


def write_files(folder: Path, n_rows: int, n_columns: int) -> dict[str, tuple[Path, Any]]:
    """The same rows in each format, each with the plain call that reads it."""
    x = np.random.default_rng(0).standard_normal((n_rows, n_columns)).astype(np.float32)
    y = np.arange(n_rows) % 10
    names = [f"dim_{column}" for column in range(n_columns)]
    labels = [f"class {label}" for label in y.tolist()]
    lists = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), n_columns)
    pq.write_table(pa.table({"embedding": lists, "label": labels}), folder / "a.parquet")
    np.savez(folder / "a.npz", train_x=x, train_y=y)
    np.save(folder / "a.npy", x)
    (folder / "labels").write_text("\n".join(labels))
    save_file({"embeddings": x, "labels": y}, folder / "a.safetensors")
    columns = {name: x[:, column] for column, name in enumerate(names)}
    arrow_csv.write_csv(pa.table({**columns, "label": labels}), folder / "a.csv")
    with (folder / "a.jsonl").open("wb") as file:
        for row, label in zip(x, labels, strict=True):
            line = {"embedding": row, "label": label}
            file.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
    os.sync()  # else the first to sync a file waits for all of these
    plain: dict[str, Callable[[Path], object]] = {
        "npy": np.load,
        "npz": lambda path: np.load(path)["train_x"],
        "safetensors": load_file,
        "parquet": lambda path: (
            pq.read_table(path)["embedding"].combine_chunks().flatten().to_numpy()
        ),
        "csv": pd.read_csv,
        "jsonl": lambda path: np.array(pd.read_json(path, lines=True)["embedding"].tolist()),
    }
    return {kind: (folder / f"a.{kind}", call) for kind, call in plain.items()}


def ours(path: Path, labels: Path, artifacts: LocalArtifacts) -> None:
    """One ingestion, as the service does it."""
    with tempfile.TemporaryDirectory(dir=path.parent) as name, path.open("rb") as file:
        workdir = Path(name)
        found = detect.detect(file, content_type="", file_name=path.name)
        if found.kind == "npz":
            stored = npz.read(file, workdir=workdir).put(artifacts, "default")
            artifacts.delete("default", stored.sha256)
            return
        decoded = sandbox.decode(
            path,
            found,
            wanted=Wanted(),
            workdir=workdir,
            max_bytes=4 << 30,
            parts={"label": labels} if found.kind == "npy" else None,
        )
        ready = assemble.assemble(decoded, options=SplitOptions(), workdir=workdir)
        stored = ready.put(artifacts, "default")
        artifacts.delete("default", stored.sha256)  # else the next run would find it stored


def durable_copy(path: Path, plain: Callable[[Path], object]) -> None:
    """The plain call, then its numbers hashed, written and synced."""
    rows = plain(path)
    if isinstance(rows, dict):
        rows = rows["embeddings"]
    if isinstance(rows, pd.DataFrame):
        rows = rows.drop(columns="label")
    content = np.ascontiguousarray(rows, np.float32).data
    hashlib.sha256(content).digest()
    with tempfile.NamedTemporaryFile(dir=path.parent) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def seconds(calls: Sequence[Callable[[], object]]) -> list[float]:
    """The best of a few runs of each, in turns: the machine has other work."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(REPEATS):
        for call, taken in zip(calls, times, strict=True):
            began = time.perf_counter()
            call()
            taken.append(time.perf_counter() - began)
    return [min(taken) for taken in times]


def table(n_rows: int, n_columns: int, kinds: Sequence[str]) -> str:
    """The measured table, as Markdown."""
    lines = [
        f"{n_rows:,} rows of {n_columns}, best of {REPEATS} in turns, load "
        f"{os.getloadavg()[0]:.1f}.",
        "",
        "| format | file, MB | ours, s | MB/s | rows/s | plain call, s | durable copy, s | "
        "ours / plain | ours / durable copy |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        folder = Path(name)
        artifacts = LocalArtifacts(folder / "artifacts")
        for kind, (path, plain) in write_files(folder, n_rows, n_columns).items():
            if kind not in kinds:
                continue
            size = path.stat().st_size / 1e6
            mine, theirs, durable = seconds(
                [
                    partial(ours, path, folder / "labels", artifacts),
                    partial(plain, path),
                    partial(durable_copy, path, plain),
                ]
            )
            lines.append(
                f"| {kind} | {size:.0f} | {mine:.2f} | {size / mine:.0f} | {n_rows / mine:,.0f} | "
                f"{theirs:.3f} | {durable:.2f} | {mine / theirs:.1f} | {mine / durable:.1f} |"
            )
    return "\n".join(lines)


def start_seconds(n_columns: int) -> tuple[float, float]:
    """The first file of a server, which starts the zygote, and the second: 10 rows of CSV."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        path, _ = write_files(Path(name), 10, n_columns)["csv"]
        artifacts = LocalArtifacts(Path(name) / "artifacts")
        first, second = (seconds_of(partial(ours, path, path, artifacts)) for _ in range(2))
    return first, second


def seconds_of(call: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    """Measure, print, and write into a page between its marks if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--formats", nargs="+", default=FORMATS, choices=FORMATS)
    parser.add_argument("--columns", type=int, default=384)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    first, second = start_seconds(arguments.columns)
    text = (
        f"Measured {time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores. A "
        f"file of 10 rows takes {first:.2f} s as a server's first, then {second:.2f} s."
    )
    for n_rows in arguments.rows:
        text += "\n\n" + table(n_rows, arguments.columns, arguments.formats)
    print(text)
    if arguments.write:
        page = arguments.write.read_text()
        start, end = f"<!-- {MARK}:start -->", f"<!-- {MARK}:end -->"
        before, after = page.partition(start)[0], page.partition(end)[2]
        arguments.write.write_text(f"{before}{start}\n{text}\n{end}{after}")


if __name__ == "__main__":
    main()

"""How fast datasets of each format are taken in, beside the plain library call, in one run.

    python benchmarks/ingest.py [--rows 20000] [--columns 384] [--write docs/benchmarks.md]

Ours is the whole way from the received file to the dataset file: the decoding process with its
start, every check, splits, profile. Theirs is reading the file into an array and no more.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from service.ingest import assemble, formats, npz, sandbox
from service.ingest.columns import Wanted
from service.ingest.row_splits import SplitOptions

MARK: Final = "ingest"
REPEATS: Final = 3


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
    frame = pd.DataFrame(x, columns=names)
    frame["label"] = labels
    frame.to_csv(folder / "a.csv", index=False)
    with (folder / "a.jsonl").open("w") as file:
        for row, label in zip(x.tolist(), labels, strict=True):
            file.write(json.dumps({"embedding": row, "label": label}) + "\n")
    plain: dict[str, Callable[[Path], object]] = {
        "npy": np.load,
        "npz": lambda path: np.load(path)["train_x"],
        "safetensors": load_file,
        "parquet": lambda path: pq.read_table(path)["embedding"].combine_chunks().flatten(),
        "csv": pd.read_csv,
        "jsonl": lambda path: np.array(pd.read_json(path, lines=True)["embedding"].tolist()),
    }
    return {kind: (folder / f"a.{kind}", call) for kind, call in plain.items()}


def ours(path: Path, labels: Path) -> None:
    """One ingestion, as the service does it."""
    with tempfile.TemporaryDirectory(dir=path.parent) as name, path.open("rb") as file:
        workdir = Path(name)
        found = formats.detect(file, content_type="", file_name=path.name)
        if found.kind == "npz":
            npz.read(file, workdir=workdir)
            return
        decoded = sandbox.decode(
            path,
            found,
            wanted=Wanted(),
            workdir=workdir,
            max_bytes=4 << 30,
            parts={"label": labels} if found.kind == "npy" else None,
        )
        assemble.assemble(decoded, options=SplitOptions(), workdir=workdir)


def seconds(call: Callable[[], object]) -> float:
    """The best of a few runs: the machine has other work."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def table(n_rows: int, n_columns: int) -> str:
    """The measured table, as Markdown."""
    lines = [
        f"Measured {time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}; {n_rows:,} rows of {n_columns}, best of {REPEATS}.",
        "",
        "| format | file, MB | ours, s | MB/s | rows/s | plain call, s | ours / plain |",
        "|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, (path, plain) in write_files(folder, n_rows, n_columns).items():
            size = path.stat().st_size / 1e6
            mine = seconds(lambda path=path: ours(path, folder / "labels"))
            theirs = seconds(lambda path=path, plain=plain: plain(path))
            lines.append(
                f"| {kind} | {size:.0f} | {mine:.2f} | {size / mine:.0f} | {n_rows / mine:,.0f} | "
                f"{theirs:.2f} | {mine / theirs:.1f} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write into a page between its marks if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--columns", type=int, default=384)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    text = table(arguments.rows, arguments.columns)
    print(text)
    if arguments.write:
        page = arguments.write.read_text()
        start, end = f"<!-- {MARK}:start -->", f"<!-- {MARK}:end -->"
        before, after = page.partition(start)[0], page.partition(end)[2]
        arguments.write.write_text(f"{before}{start}\n{text}\n{end}{after}")


if __name__ == "__main__":
    main()

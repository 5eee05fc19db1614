"""The memory that ingesting a file of several gigabytes takes, of the server and of its decoder.

    python benchmarks/ingest_memory.py [--gigabytes 4] [--formats npy parquet] [--folder .]

The file is made on the disk, taken in and stored as the service does it, and removed; three times
its size must be free. The peak is that of resident memory, read from /proc every 20 ms; for the
server also how far it grew, since most of it is libraries that are loaded anyway.
"""

import argparse
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from service.ingest.dataset import assemble
from service.ingest.dataset.row_splits import SplitOptions
from service.ingest.formats import detect
from service.ingest.isolate import sandbox
from service.ingest.names.columns import Wanted
from store.bytes.local import LocalArtifacts

COLUMNS: Final = 1024
ROWS_AT_ONCE: Final = 16_384
PACE_SECONDS: Final = 0.02


class Watch:
    """The highest resident memory of this process and of those below it, in bytes."""

    def __init__(self) -> None:
        self.server = self.decoder = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(PACE_SECONDS):
            self.server = max(self.server, resident(os.getpid()))
            for zygote in children(os.getpid()):
                self.decoder = max([self.decoder, *map(resident, children(zygote))])


def resident(process: int) -> int:
    """Resident bytes, 0 of a process that has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))


def children(process: int) -> list[int]:
    """The processes that it started and that live."""
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def write(kind: str, path: Path, n_rows: int) -> None:
    """A file of `n_rows` random rows, a batch at a time."""
    random = np.random.default_rng(0)
    if kind == "npy":
        rows = np.lib.format.open_memmap(path, "w+", np.float32, (n_rows, COLUMNS))
        for start in range(0, n_rows, ROWS_AT_ONCE):
            rows[start : start + ROWS_AT_ONCE] = random.standard_normal(
                (min(ROWS_AT_ONCE, n_rows - start), COLUMNS), np.float32
            )
        return
    schema = pa.schema([("embedding", pa.list_(pa.float32(), COLUMNS)), ("label", pa.string())])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=["label"]) as writer:
        for start in range(0, n_rows, ROWS_AT_ONCE):
            n_here = min(ROWS_AT_ONCE, n_rows - start)
            values = pa.array(random.standard_normal(n_here * COLUMNS, np.float32))
            lists = pa.FixedSizeListArray.from_arrays(values, COLUMNS)
            labels = [f"class {row % 10}" for row in range(n_here)]
            writer.write_table(pa.table({"embedding": lists, "label": labels}, schema=schema))


def measure(kind: str, folder: Path, gigabytes: float) -> str:
    """A line of what ingesting such a file took."""
    n_rows = int(gigabytes * 1e9) // (4 * COLUMNS)
    path, labels = folder / f"big.{kind}", folder / "labels"
    maker = multiprocessing.get_context("spawn").Process(target=write, args=(kind, path, n_rows))
    maker.start()
    maker.join()
    labels.write_text("\n".join(f"class {row % 10}" for row in range(n_rows)))
    size = path.stat().st_size
    before = resident(os.getpid())
    began = time.perf_counter()
    with Watch() as watch, path.open("rb") as file:
        decoded = sandbox.decode(
            path,
            detect.detect(file, content_type="", file_name=path.name),
            wanted=Wanted(),
            workdir=folder,
            max_bytes=8 << 30,
            parts={"label": labels} if kind == "npy" else None,
        )
        path.unlink()
        ready = assemble.assemble(decoded, options=SplitOptions(), workdir=folder)
        ready.put(LocalArtifacts(folder / "artifacts"), "default")
    took = time.perf_counter() - began
    return (
        f"{kind}: {size / 1e9:.1f} GB in {took:.0f} s; decoder {watch.decoder / 1e6:.0f} MB, "
        f"server {watch.server / 1e6:.0f} MB, of it {(watch.server - before) / 1e6:.0f} MB for it"
    )


def main() -> None:
    """Measure each format in a folder of its own, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--formats", nargs="+", default=["npy", "parquet"])
    parser.add_argument("--folder", type=Path, default=Path.cwd())
    arguments = parser.parse_args()
    for kind in arguments.formats:
        needed = int(3 * arguments.gigabytes * 1e9)
        free = shutil.disk_usage(arguments.folder).free
        if free < needed:
            raise SystemExit(f"{arguments.folder} has {free:,} bytes free, {needed:,} are needed")
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            print(measure(kind, Path(name), arguments.gigabytes), flush=True)


if __name__ == "__main__":
    main()

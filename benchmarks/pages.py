"""What the report's page costs beside the same report as JSON, by the number of classes.

    python benchmarks/pages.py [--classes 10 100 1000] [--write docs/inside/benchmarks.md]

Real jobs of method auto on generated embeddings, through a server of its own. Times are to the
first byte, the median of requests that take turns with those for the JSON. The last lines ask the
head for one row at a time, before any page was made and after, and look into the values of many
rows: the first page of errors in the order of their OOD score, and the choice of the map's points.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import page

from service.job_rows.schemas import RowQuery
from service.job_rows.selection import ordered, select
from store.files.job_rows import JobRows, Predictions, SplitRows
from workers.child.map_points import choose

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
from own_server import own_server

HEAD: Final = ("classes", "JSON", "page", "page / JSON", "page, kB", "one file, kB", "JSON, kB")
N_COLUMNS: Final = 64
N_REQUESTS: Final = 15
N_PREDICTIONS: Final = 400
ROWS_A_CLASS: Final = {"train": 8, "test": 3, "ood/shifted": 3}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows behind the map")
    parser.add_argument("--write", type=Path, help="page to put the table into")
    arguments = parser.parse_args(argv)
    with (
        tempfile.TemporaryDirectory() as folder,
        own_server(Path(folder)) as url,
        httpx.Client(base_url=url, timeout=600) as client,
    ):
        jobs = {n: _train(client, n) for n in arguments.classes}
        before = _seconds_a_prediction(client)
        rows = [_row(client, n, job) for n, job in jobs.items()]
        after = _seconds_a_prediction(client)
    lines = [
        f"Measured {page.machine()}; medians of {N_REQUESTS}.",
        "",
        *page.table(HEAD, rows),
        "",
        f"One-row predictions, one after the other: {before * 1000:.2f} ms before a page was made, "
        f"{after * 1000:.2f} ms after all of these.",
    ]
    lines += ["", _many_rows(arguments.rows)]
    print("\n".join(lines))
    if arguments.write:
        page.write(arguments.write, "pages", "\n".join(lines))


def _train(client: httpx.Client, n_classes: int) -> str:
    """The id of a finished job on rows around a centre for each class."""
    random = np.random.default_rng(n_classes)
    centres = random.normal(size=(n_classes, N_COLUMNS))
    embeddings, labels, splits = [], [], []
    for split, n_rows in ROWS_A_CLASS.items():
        y = np.repeat(np.arange(n_classes), n_rows)
        shift = 0.5 * split.startswith("ood")
        embeddings.append(centres[y] + random.normal(size=(len(y), N_COLUMNS)) + shift)
        labels += [f"class {one}" for one in y]
        splits += [split] * len(y)
    job: dict[str, Any] = {
        "name": f"classes-{n_classes}",
        "embeddings": np.concatenate(embeddings).round(3).tolist(),
        "labels": labels,
        "splits": splits,
    }
    created = client.post("/jobs", json=job)
    created.raise_for_status()
    job_id: str = created.json()["id"]
    while (told := client.get(f"/jobs/{job_id}").json())["status"] != "succeeded":
        if told["status"] == "failed":
            raise SystemExit(f"the job failed: {told['error']}")
        time.sleep(1)
    return job_id


def _row(client: httpx.Client, n_classes: int, job_id: str) -> list[str]:
    paths = (f"/jobs/{job_id}/report?format=json", f"/ui/jobs/{job_id}/report")
    seconds: dict[str, list[float]] = {path: [] for path in paths}
    sizes = {}
    for _ in range(N_REQUESTS):
        for path in paths:
            took, sizes[path] = _first_byte(client, path)
            seconds[path].append(took)
    as_json, as_page = (statistics.median(seconds[path]) for path in paths)
    _, file_size = _first_byte(client, f"/jobs/{job_id}/report?format=html")
    return [
        f"{n_classes:,}",
        *(f"{one * 1000:.1f} ms" for one in (as_json, as_page)),
        f"{as_page / as_json:.1f}",
        *(f"{size / 1000:,.0f}" for size in (sizes[paths[1]], file_size, sizes[paths[0]])),
    ]


def _first_byte(client: httpx.Client, path: str) -> tuple[float, int]:
    """Seconds until the first byte, and how many came in all."""
    began = time.perf_counter()
    with client.stream("GET", path) as answer:
        answer.raise_for_status()
        chunks: Iterator[bytes] = answer.iter_raw()
        first = len(next(chunks))
        seconds = time.perf_counter() - began
        return seconds, first + sum(map(len, chunks))


def _seconds_a_prediction(client: httpx.Client) -> float:
    params = {"head": "classes-10", "embedding": ",".join(["0.1"] * N_COLUMNS)}
    seconds = []
    for _ in range(N_PREDICTIONS):
        began = time.perf_counter()
        client.get("/predict", params=params).raise_for_status()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def _many_rows(n_rows: int) -> str:
    """What it takes to find rows among very many, from a file as a job keeps it."""
    random = np.random.default_rng(0)

    def values(n: int) -> SplitRows:
        label = random.integers(0, 24, n)
        predicted = np.where(random.random(n) < 0.9, label, random.integers(0, 24, n))
        steps = random.integers(0, 65_536, n).astype(np.uint16)
        return SplitRows(
            label=label,
            predictions={"auto": Predictions(predicted=predicted, label_probability=steps)},
            predicted_probability=steps,
            ood_score=random.gamma(4, 0.25, n).astype(np.float32),
            set_size=np.ones(n, np.uint16),
        )

    made = JobRows(
        classes=[f"class {one}" for one in range(24)],
        published="auto",
        candidates=["auto"],
        dataset_sha256="0" * 64,
        splits={"train": values(n_rows * 4 // 5), "test": values(n_rows // 5)},
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows"
        path.write_bytes(made.to_bytes())
        began = time.perf_counter()
        rows = JobRows.open(path)
        query = RowQuery(only="errors", sort="-ood_score", limit=50)
        selection = select(rows, query)
        n_shown = sum(
            len(run) for _, run in ordered(rows, selection, query.sort, first=0, limit=50)
        )
        shown = time.perf_counter() - began
        began = time.perf_counter()
        n_points = sum(len(one) for one in choose(rows, seed=0).values())
        chosen = time.perf_counter() - began
        size = path.stat().st_size
    return (
        f"{n_rows:,} rows of one candidate take {size / 1e6:,.0f} MB. The first {n_shown} of their "
        f"{selection.n_rows:,} errors, by OOD score: {shown * 1000:,.0f} ms; choosing the "
        f"{n_points:,} points of the map: {chosen * 1000:,.0f} ms."
    )


if __name__ == "__main__":
    main()

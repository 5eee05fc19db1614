"""One server in one, two and three processes: requests a second, and what a further one costs.

PYTHONPATH=. python benchmarks/processes.py [--seconds 4] [--rounds 3]
                                            [--write docs/inside/benchmarks.md]

The head of `serve.py` (768 columns, 3072 hidden units, 10 classes), wrk as the load on the same
cores. Each round measures one process and two, one after the other; figures are medians.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import page
import psutil
import serve_head
from serve import LARGE, Contestant, ours, ours_binary, started
from serve_load import Body, ask

import migrations

LOADS = (
    ("1 row JSON x 64: requests/s", 64, lambda: ours(1), 1),
    ("1 row JSON x 2: requests/s", 2, lambda: ours(1), 1),
    ("1,024 rows JSON x 8: rows/s", 8, lambda: ours(LARGE), LARGE),
    ("1,024 rows binary x 8: rows/s", 8, lambda: ours_binary(LARGE), LARGE),
)
HEAD = ("processes", *(name for name, *_ in LOADS))
MEMORY_HEAD = ("processes", "in all, MB", "of one API process alone, MB", "heads' files mapped, MB")


def server(n: int, folder: Path) -> Contestant:
    """`nmtune-server up` with n processes."""
    return Contestant(
        name=f"{n} processes",
        command=lambda port: [
            *(sys.executable, "-m", "standalone", "up", "--port", str(port)),
            *("--data-dir", str(folder / "data"), "--processes", str(n)),
        ],
        json_body=ours,
    )


def rates(n: int, folder: Path, seconds: float) -> list[float]:
    """The rate of each load."""
    with started(server(n, folder), folder) as (url, _):
        return [_rate(url, make(), c, seconds) * rows for _, c, make, rows in LOADS]


def _rate(url: str, body: Body, connections: int, seconds: float) -> float:
    return ask(url, body, connections=connections, seconds=seconds).rate


def memory(n: int, folder: Path) -> list[float]:
    """MB after a load that reaches all processes: PSS of all, USS of one, bytes of heads mapped."""
    with started(server(n, folder), folder) as (url, process):
        ask(url, ours(1), connections=64, seconds=2)
        family = [process, *process.children(recursive=True)]
        total = sum(one.memory_full_info().pss for one in family)
        apis = [one for one in family if _mapped(one)] or [process]
        alone = max(one.memory_full_info().uss for one in apis)
        return [total / 1e6, alone / 1e6, max(_mapped(one) for one in apis) / 1e6]


def _mapped(process: psutil.Process) -> int:
    return sum(one.rss for one in process.memory_maps() if one.path.endswith(".onnx.data"))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="put the tables between the marks of this page")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["BENCH_DIR"] = name
        (folder / "data").mkdir()
        migrations.upgrade(f"sqlite:///{folder / 'data' / 'nmtune.db'}")
        serve_head.publish(serve_head.make(), folder / "data")
        load = f"{os.getloadavg()[0]:.1f}"
        held = [memory(n, folder) for n in (1, 2, 3)]
        print(held, flush=True)
        found: dict[int, list[list[float]]] = {1: [], 2: []}
        for _ in range(arguments.rounds):
            for n, rounds in found.items():
                rounds.append(rates(n, folder, arguments.seconds))
                print(n, rounds[-1], flush=True)
    medians = {
        n: [statistics.median(one) for one in zip(*rounds, strict=True)]
        for n, rounds in found.items()
    }
    ratios = [two / one for one, two in zip(medians[1], medians[2], strict=True)]
    pairs = [
        [b / a for a, b in zip(*pair, strict=True)] for pair in zip(*found.values(), strict=True)
    ]
    spread = [
        f"{r:.2f} ({min(s):.2f} to {max(s):.2f})" for r, *s in zip(ratios, *pairs, strict=True)
    ]
    lines = [
        f"Measured {page.machine()}; load average at the start {load}; {arguments.seconds:g} s a "
        f"cell, medians of {arguments.rounds} rounds.",
        "",
        *page.table(HEAD, [
            *([str(n), *(f"{one:,.0f}" for one in medians[n])] for n in found),
            ["two / one (its rounds)", *spread],
        ]),
        "",
        *page.table(MEMORY_HEAD, [
            [str(n), *(f"{one:.0f}" for one in row)] for n, row in enumerate(held, 1)
        ]),
        "",
        f"The third process adds {held[2][0] - held[1][0]:.0f} MB.",
    ]  # fmt: skip
    print("\n".join(lines))
    if arguments.write:
        page.write(arguments.write, "processes", "\n".join(lines))


if __name__ == "__main__":
    main()

"""Training speed: a step, the time to the published loop's accuracy, a spectrum.

python benchmarks/train.py [FILE.npz ...] [--quick] [--write docs/inside/benchmarks.md]

Contestants take turns in the same run; a figure is the median of its repeats. --quick has fewer
repeats, the narrow heads and the files alone.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import page
import spectrum_times
import step_times
import time_to_accuracy

from nmtune.numeric import runtime


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE.npz")
    parser.add_argument("--quick", action="store_true", help="a rough answer in about two minutes")
    parser.add_argument("--write", type=Path, help="put the tables between the marks of this page")
    arguments = parser.parse_args(argv)
    files, quick = arguments.files, arguments.quick
    runtime.prepare(device="cpu")

    lines = [f"Measured {page.machine()}{' (--quick)' if quick else ''}.", ""]
    lines += ["One step, preset `reference`, batch 64, C = 10, float32:", ""]
    widths = [384, 768] if quick else [384, 768, 1536, 3072]
    lines += step_times.measure(widths, turns=3 if quick else 7)

    rows = []
    for path in files:
        rows += time_to_accuracy.measure(path, budget=20 if quick else 600, repeats=1)
    with tempfile.TemporaryDirectory() as folder:
        lines += ["", "Until as accurate as the reference loop at its end:", ""]
        lines += page.table(time_to_accuracy.HEAD, rows)

        lines += ["", "Spectrum:", ""]
        sizes = [(20_000, 384)] if quick else [(50_000, 768)]
        lines += spectrum_times.measure(sizes, repeats=3)
        n_rows = 100_000 if quick else 1_000_000
        lines += ["", spectrum_times.by_memory(Path(folder) / "x.npy", n_rows, 768)]
    print("\n".join(["", *lines]))
    if arguments.write:
        page.write(arguments.write, "train", "\n".join(lines))


if __name__ == "__main__":
    main()

"""The drawing process: `python -m workers.child.draw WORKDIR` adds t-SNE to a finished job's map.

It reads the map and the points in WORKDIR, and writes the map anew after each of the two drawings,
the tuned embeddings first, so that what is drawn in time is kept. It says nothing on stdout, and
may be ended at any moment.
"""

import os
import sys
from pathlib import Path

from nmtune.study.projection import tsne
from store.files.columns import ColumnsFile
from store.files.job_map import JobMap
from workers.child.map_points import POINTS_FORMAT, VERSION
from workers.folder import MAP, MAP_POINTS, Workdir


def main() -> None:
    workdir = Workdir(Path(sys.argv[1]))
    points = ColumnsFile.from_bytes(
        workdir.read_bytes(MAP_POINTS), kind=POINTS_FORMAT, version=VERSION
    )
    drawn = JobMap.from_bytes(workdir.read_bytes(MAP))
    for name in ("tuned", "raw"):
        drawn = drawn.drawn({f"tsne_{name}": tsne(points.columns[name])})
        workdir.write_bytes(MAP, drawn.to_bytes())
    os._exit(0)  # a clean end would only take time


if __name__ == "__main__":
    main()

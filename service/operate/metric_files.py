"""Count in files that all processes of a server map, so that any of them can tell the sum.

prometheus_client's own multiprocess mode, with a name for each process instead of its number: a
process that is started again goes on from the counts of the one before, so no counter ever goes
down and no file is left over. What was counted is in the file at once, also if the process is
killed.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Metric, ProcessCollector, values
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

LIVE: Final = ("gauge_livesum", "gauge_livemax")
"""Gauges of what a process has now: gone with it."""
KINDS: Final = ("counter", "histogram", *LIVE)
FILE_BYTES: Final = 1 << 20
"""Taken from the disk at once: a map of a file that cannot grow kills its process."""

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_PARENT: Final = "parent"
_OURS: Final = "nmtune_"
_name = _PARENT


def begin(folder: Path, names: Sequence[str]) -> None:
    """Have all metrics that are made from now on count in `folder`, for processes of these names.

    Raises OSError if there is no room.
    """
    made = [one for one in REGISTRY.collect() if one.name.startswith(_OURS)]
    if made:
        raise RuntimeError(f"made before they could be shared: {made[0].name}")
    folder.mkdir()
    for name in (_PARENT, *names):
        for kind in KINDS:
            _make(folder, kind, name)
    os.environ[_FOLDER] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: _name)  # type: ignore[no-untyped-call]


def become(name: str) -> None:
    """Count for the process of this name from now on: the first thing after a fork."""
    global _name
    _name = name
    pid = Path(os.environ[_FOLDER]) / f"{name}.pid"
    pid.with_suffix(".new").write_text(str(os.getpid()))
    pid.with_suffix(".new").replace(pid)


def note_dead(folder: Path, name: str) -> None:
    """Forget what the process of this name had; what it counted stays."""
    (folder / f"{name}.pid").unlink(missing_ok=True)
    for kind in LIVE:
        _path(folder, kind, name).unlink(missing_ok=True)
        _make(folder, kind, name)


def registry(folder: Path) -> CollectorRegistry:
    """The sums over all processes, and what the system says of each."""
    found = CollectorRegistry(auto_describe=False)
    MultiProcessCollector(found, path=str(folder))  # type: ignore[no-untyped-call]
    found.register(_Processes(folder))
    return found


class _Processes(Collector):
    """Memory, CPU and files of each process, with its name as the label `process`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        found: dict[str, Metric] = {}
        for path in sorted(self._folder.glob("*.pid")):
            for metric in _of_process(path):
                one = found.setdefault(
                    metric.name, Metric(metric.name, metric.documentation, metric.type)
                )
                for sample in metric.samples:
                    one.add_sample(sample.name, {"process": path.stem}, sample.value)
        yield from found.values()


def _of_process(path: Path) -> list[Metric]:
    try:
        pid = int(path.read_text())
    except (OSError, ValueError):  # it has just ended
        return []
    return list(ProcessCollector(pid=lambda: pid, registry=None).collect())


def _path(folder: Path, kind: str, name: str) -> Path:
    return folder / f"{kind}_{name}.db"


def _make(folder: Path, kind: str, name: str) -> None:
    with _path(folder, kind, name).open("xb") as file:
        os.posix_fallocate(file.fileno(), 0, FILE_BYTES)

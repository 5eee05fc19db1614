"""Keep results, a line a cell, so that a study can be stopped and taken up again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.cells import Cell
from benchmarks.study.noise import Confusions
from benchmarks.study.sizes import Size

Line = dict[str, Any]


class OtherStudyError(Exception):
    """The folder holds results of other settings; the message says what to do."""


class Store:
    """`results.jsonl` of a folder, and the clean models' confusions beside it."""

    def __init__(self, folder: Path, size: Size) -> None:
        self._folder, self._size = folder, size
        self.path = folder / "results.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self._cut_off()

    def lines(self) -> list[Line]:
        """All results so far. Raises OtherStudyError if the settings have changed since."""
        if not self.path.exists():
            return []
        found = [json.loads(line) for line in self.path.read_text().splitlines()]
        if any(line["study"] != self._size.digest for line in found):
            raise OtherStudyError(
                f"{self.path} has results of other settings or other code: move it away, or name "
                "another folder with --out"
            )
        return found

    def missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """The cells without a result."""
        done = {Cell(line["seed"], line["kind"], line["level"]) for line in self.lines()}
        return [cell for cell in cells if cell not in done]

    def append(self, lines: Sequence[Line]) -> None:
        """Add results, all of them on the disk before this returns."""
        with self.path.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def confusions(self) -> Confusions | None:
        """What `keep` kept."""
        path = self._of_confusions
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as kept:
            parts: dict[str, NDArray[Any]] = {name: kept[name] for name in kept.files}
        return Confusions(**parts)

    def keep(self, found: Confusions) -> None:
        """Keep what the clean models confuse, which every cell needs."""
        np.savez(
            self._of_confusions,
            other=found.other,
            ambiguity=found.ambiguity,
            of_class=found.of_class,
        )

    @property
    def _of_confusions(self) -> Path:
        return self._folder / f"confusions-{self._size.digest}.npz"

    def _cut_off(self) -> None:
        """Drop a last line that a killed run has not finished."""
        if self.path.exists():
            text = self.path.read_text()
            whole = text[: text.rfind("\n") + 1]
            if whole != text:
                self.path.write_text(whole)

"""Write the embeddings of texts as the file that a training or a prediction reads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from providers import truncation
from store.files import rows as rows_file
from store.files.dataset import DatasetWriter
from store.files.row_names import RowNames
from store.files.rows import Ids
from store.files.texts import TextsFile, TextSplit

_ROWS_AT_A_TIME: Final = 4096


@dataclass(frozen=True)
class Vectors:
    """The vectors x (n, d) of distinct texts; `places` has each text's row of x."""

    places: Mapping[str, int]
    x: NDArray[np.float32]

    def of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of these texts, in their order."""
        found: NDArray[np.float32] = self.x[[self.places[text] for text in texts]]
        return found

    def truncated(self, truncate_dim: int | None) -> "Vectors":
        """The vectors cut to their first numbers; see `providers.truncation`."""
        return Vectors(self.places, truncation.truncated(self.x, truncate_dim))


def write(path: Path, texts: TextsFile, vectors: Vectors) -> None:
    """Write a dataset file, or a file of rows if the texts have no labels."""
    n_columns = vectors.x.shape[1]
    if not texts.classes:
        (split,) = texts.splits
        rows_file.write(
            path,
            _blocks(split.texts, vectors),
            n_rows=len(split.texts),
            n_columns=n_columns,
            dtype=np.dtype(np.float32),
            ids=_ids(split),
        )
        return
    with DatasetWriter(
        path,
        classes=texts.classes,
        n_columns=n_columns,
        dtype=np.float32,
        splits=[(split.name, len(split.texts)) for split in texts.splits],
        row_names={
            split.name: RowNames(rows=np.array(split.rows, np.int64), ids=_ids(split))
            for split in texts.splits
        },
    ) as writer:
        for split in texts.splits:
            writer.x(split.name)[:] = vectors.of(split.texts)
            writer.y(split.name)[:] = split.y


def _ids(split: TextSplit) -> Ids | None:
    return None if split.ids is None else Ids.of(split.ids)


def _blocks(texts: Sequence[str], vectors: Vectors) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(texts), _ROWS_AT_A_TIME):
        yield vectors.of(texts[start : start + _ROWS_AT_A_TIME])

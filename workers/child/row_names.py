"""How a finding names a row: its place in the split, in what was sent, its id and its text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from store.files.dataset import DatasetFile
from store.files.texts import TextsFile

MOST_TEXT_CHARACTERS: Final = 500
"""Of a text that is shown; what follows is cut off."""

UNKNOWN: Final = (
    "The data set was stored by an earlier version, which did not keep where its rows were: row "
    "counts the rows of the split as they are stored. Upload it again to have file_row and id."
)


class RowNames:
    """What rows are called, by split and place; texts only where the data set has them."""

    def __init__(
        self, dataset: DatasetFile, texts: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._splits = dataset.splits
        self._texts = texts or {}

    @classmethod
    def of(cls, dataset: DatasetFile, texts_path: Path | None) -> Self:
        """With the texts of the file that the embeddings were made of, if they were."""
        if texts_path is None:
            return cls(dataset)
        file = TextsFile.from_bytes(texts_path.read_bytes())
        return cls(dataset, {split.name: split.texts for split in file.splits})

    def knows_places(self, split: str) -> bool:
        """Whether it is known where the rows of the split were in what was sent."""
        return self._splits[split].names.rows is not None

    def name(self, split: str, row: int) -> dict[str, Any]:
        """The fields `row`, `file_row`, `id` and `text`; null where nothing is known."""
        names, texts = self._splits[split].names, self._texts.get(split)
        text = None if texts is None else texts[row]
        if text is not None and len(text) > MOST_TEXT_CHARACTERS:
            text = f"{text[:MOST_TEXT_CHARACTERS]}…"
        return {"row": row, "file_row": names.row(row), "id": names.id(row), "text": text}

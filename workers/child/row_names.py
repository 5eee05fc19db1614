"""Name the rows of a finding: place in the split and in the file, id and text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from store.files.dataset import DatasetFile
from store.files.texts import TextsFile, beginning

UNKNOWN: Final = (
    "The data set was stored by an earlier version, which did not keep the rows' places in the "
    "file: `row` counts rows within the split. Upload it again to get file_row and id."
)


class RowNames:
    """The names of rows by split and place; texts only if the data set has them."""

    def __init__(
        self, dataset: DatasetFile, texts: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._splits = dataset.splits
        self._texts = texts or {}

    @classmethod
    def of(cls, dataset: DatasetFile, texts_path: Path | None) -> Self:
        """The names, with texts if the embeddings were made from a file of texts."""
        if texts_path is None:
            return cls(dataset)
        file = TextsFile.from_bytes(texts_path.read_bytes())
        return cls(dataset, {split.name: split.texts for split in file.splits})

    def knows_places(self, split: str) -> bool:
        """Whether the places of the split's rows in the uploaded file are known."""
        return self._splits[split].names.rows is not None

    def name(self, split: str, row: int) -> dict[str, Any]:
        """The fields `row`, `file_row`, `id` and `text`; null for what is not known."""
        names, texts = self._splits[split].names, self._texts.get(split)
        text = None if texts is None else beginning(texts[row])
        return {"row": row, "file_row": names.row(row), "id": names.id(row), "text": text}

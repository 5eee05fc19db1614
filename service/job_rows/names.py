"""What rows are called in the data sent: their place in the file, their id, their text."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from store import datasets
from store.database.connection import Transaction
from store.datasets import TEXTS, Dataset
from store.errors import NotFound
from store.store import Store

if TYPE_CHECKING:
    from store.files.dataset import DatasetFile
    from store.files.listed_rows import ListedRows
    from store.files.texts import TextSplit

_DELETED: Final = (
    "The dataset was deleted or has expired, so file_row, id and text are not known: row counts "
    "rows within the stored split."
)
_OLD: Final = (
    "The dataset was stored by an earlier version, which did not keep the rows' places in the "
    "file: row counts rows within the stored split. Upload it again to get file_row and id."
)
_UNKNOWN: Final[dict[str, Any]] = {"file_row": None, "id": None, "text": None}


def dataset_of(tx: Transaction, tenant_id: str, dataset_id: str) -> Dataset | None:
    """The dataset of a finished job; None if it is gone."""
    try:
        return datasets.get(tx, tenant_id, dataset_id)
    except NotFound:
        return None


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of a dataset's rows, by split and row."""

    note: str | None
    """Why names are missing; None if they are known."""
    _file: "DatasetFile | None" = None
    _texts: "Mapping[str, TextSplit] | None" = None
    _few: "ListedRows | None" = None
    _sha256: str = ""

    @classmethod
    def of(cls, store: Store, dataset: Dataset | None) -> Self:
        """The names of all rows, read from the stored dataset, of which None is left.

        Raises ArtifactMissing, ArtifactCorrupt, InvalidDatasetFile.
        """
        if dataset is None:
            return cls(note=_DELETED)
        if dataset.content == TEXTS:
            from store.files.texts import TextsFile

            data = store.artifacts.get_bytes(dataset.tenant_id, dataset.sha256)
            splits = {one.name: one for one in TextsFile.from_bytes(data).splits}
            return cls(note=None, _texts=splits)
        from store.files.dataset import DatasetFile

        path = store.artifacts.open_path(dataset.tenant_id, dataset.sha256)
        file = DatasetFile.open(path)
        is_old = any(one.names.rows is None for one in file.splits.values())
        return cls(note=_OLD if is_old else None, _file=file, _sha256=dataset.sha256)

    @classmethod
    @contextmanager
    def of_few(cls, store: Store, dataset: Dataset | None) -> Iterator[Self]:
        """The same for a page of rows: only the blocks of the file that hold them are read.

        Each is checked as it is read, so a page of a dataset of gigabytes costs as much as one of a
        small one.
        """
        if dataset is None or dataset.content == TEXTS:
            yield cls.of(store, dataset)
            return
        from store.files.listed_rows import ListedRows

        with store.artifacts.open_checked(dataset.tenant_id, dataset.sha256, stop=0) as file:
            few = ListedRows.open(file, is_labelled=True)
            yield cls(note=None if few.knows_places else _OLD, _few=few)

    def name(self, split: str, row: int) -> dict[str, Any]:
        """The fields file_row, id and text; null for what is not known."""
        if self._few is not None:
            [listed] = self._few.rows(split, [row])
            return {"file_row": listed.file_row, "id": listed.id, "text": None}
        if self._texts is not None and split in self._texts:
            from store.files.texts import beginning

            one = self._texts[split]
            text = beginning(one.texts[row])
            identity = None if one.ids is None else one.ids[row] or None
            return {"file_row": one.rows[row], "id": identity, "text": text}
        if self._file is not None and split in self._file.splits:
            names = self._file.splits[split].names
            return {"file_row": names.row(row), "id": names.id(row), "text": None}
        return dict(_UNKNOWN)

    def check(self) -> None:
        """Raise ArtifactCorrupt if the mapped file changed while names were read."""
        if self._file is not None:
            self._file.check(self._sha256)

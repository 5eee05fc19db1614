"""One view of stored rows with labels, whether they are embeddings or texts."""

from dataclasses import dataclass
from typing import Self

from store.bytes.port import Artifacts
from store.datasets import TEXTS, Dataset
from store.files.dataset import DatasetFile, Embeddings, Labels
from store.files.row_names import StoredNames
from store.files.texts import TextsFile


@dataclass(frozen=True, kw_only=True)
class LabelledSplit:
    """One split: its rows, embeddings (n, d) as a read-only map or n texts, and y (n,)."""

    rows: Embeddings | list[str]
    y: Labels
    names: StoredNames


@dataclass(frozen=True, kw_only=True)
class LabelledFile:
    """The rows of a labelled dataset; `classes` by index, `splits` in their order."""

    classes: tuple[str, ...]
    splits: dict[str, LabelledSplit]
    map: DatasetFile | None = None
    """The file that embeddings are in; None for texts."""

    @classmethod
    def open(cls, dataset: Dataset, artifacts: Artifacts) -> Self:
        """The stored rows of `dataset`. Raises as `Artifacts.get_bytes`, and InvalidDatasetFile."""
        tenant_id, sha256 = dataset.tenant_id, dataset.sha256
        if dataset.content == TEXTS:
            return cls.of_texts(TextsFile.from_bytes(artifacts.get_bytes(tenant_id, sha256)))
        return cls.of_embeddings(DatasetFile.open(artifacts.open_path(tenant_id, sha256)))

    @classmethod
    def of_embeddings(cls, file: DatasetFile) -> Self:
        """The rows of a file of embeddings."""
        splits = {
            name: LabelledSplit(rows=split.x, y=split.y, names=split.names)
            for name, split in file.splits.items()
        }
        return cls(classes=file.classes, splits=splits, map=file)

    @classmethod
    def of_texts(cls, file: TextsFile) -> Self:
        """The rows of a file of texts."""
        splits = {
            one.name: LabelledSplit(
                rows=one.texts, y=one.y, names=StoredNames.of_lists(one.rows, one.ids)
            )
            for one in file.splits
        }
        return cls(classes=tuple(file.classes), splits=splits)

    def check(self, sha256: str) -> None:
        """Raise ArtifactCorrupt if embeddings have changed on the disk since they were opened."""
        if self.map is not None:
            self.map.check(sha256)

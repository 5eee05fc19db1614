"""Home of the bytes of a dataset of texts: one JSON document, its texts not yet embedded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from store.errors import InvalidDatasetFile

FORMAT: Final = "nmtune-texts"
VERSION: Final = 1


@dataclass(frozen=True, kw_only=True)
class TextSplit:
    """One split: n texts, y (n,) int64 class indices, and each text's row in what was sent.

    Where the texts have no labels, there are no classes, and y is -1.
    """

    name: str
    texts: list[str]
    y: NDArray[np.int64]
    rows: list[int]
    ids: list[str] | None = None
    """What the sender calls the rows; an empty one stands for none."""


@dataclass(frozen=True, kw_only=True)
class TextsFile:
    """Texts with labels, in named splits; `classes` by index."""

    classes: Sequence[str]
    splits: list[TextSplit]

    def to_bytes(self) -> bytes:
        """The document."""
        splits: list[dict[str, Any]] = [
            {"name": one.name, "labels": one.y.tolist(), "rows": one.rows, "texts": one.texts}
            | ({} if one.ids is None else {"ids": one.ids})
            for one in self.splits
        ]
        document = {"format": FORMAT, "version": VERSION, "classes": list(self.classes)}
        return orjson.dumps(document | {"splits": splits})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The document again. Raises InvalidDatasetFile."""
        try:
            document: Any = orjson.loads(data)
            if (document["format"], document["version"]) != (FORMAT, VERSION):
                raise ValueError(f"it has the format {document['format']!r}")
            splits = [
                TextSplit(
                    name=one["name"],
                    texts=one["texts"],
                    y=np.array(one["labels"], np.int64),
                    rows=one["rows"],
                    ids=one.get("ids"),
                )
                for one in document["splits"]
            ]
            return cls(classes=document["classes"], splits=splits)
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidDatasetFile(f"A stored file is no dataset of texts: {error}") from error

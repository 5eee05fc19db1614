"""The bytes of a dataset of texts that are not embedded yet: one JSON document."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from store.errors import InvalidDatasetFile

MOST_SHOWN_CHARACTERS: Final = 500
"""Longer texts are cut off where rows are shown."""

FORMAT: Final = "nmtune-texts"
VERSION: Final = 1


@dataclass(frozen=True, kw_only=True)
class TextSplit:
    """One split: n texts, y (n,) int64 class indices, and each text's row in the data sent.

    Texts without labels have no classes and a y of -1.
    """

    name: str
    texts: list[str]
    y: NDArray[np.int64]
    rows: list[int]
    ids: list[str] | None = None
    """The sender's ids of the rows; an empty id means that there is none."""


@dataclass(frozen=True, kw_only=True)
class TextsFile:
    """Texts with labels, in named splits; `classes` by index."""

    classes: Sequence[str]
    splits: list[TextSplit]

    def to_bytes(self) -> bytes:
        """The JSON document."""
        splits: list[dict[str, Any]] = [
            {"name": one.name, "labels": one.y.tolist(), "rows": one.rows, "texts": one.texts}
            | ({} if one.ids is None else {"ids": one.ids})
            for one in self.splits
        ]
        document = {"format": FORMAT, "version": VERSION, "classes": list(self.classes)}
        return orjson.dumps(document | {"splits": splits})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The texts of a document. Raises InvalidDatasetFile."""
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
            raise InvalidDatasetFile(
                f"A stored dataset of texts cannot be read: {error}"
            ) from error


def beginning(text: str) -> str:
    """As much of a text as is shown of a row."""
    if len(text) <= MOST_SHOWN_CHARACTERS:
        return text
    return f"{text[:MOST_SHOWN_CHARACTERS]}…"

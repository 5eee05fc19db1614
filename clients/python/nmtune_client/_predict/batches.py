"""Split the rows of a prediction into requests, and join the answers; no I/O."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from os import PathLike, fspath
from typing import Any

import numpy as np

from nmtune_client._datasets import arrays
from nmtune_client._heads.calls import get_head_version, list_aliases
from nmtune_client._heads.values import HeadAlias, HeadVersion
from nmtune_client._http.values import Page
from nmtune_client._http.wire import Call
from nmtune_client._predict.answers import Part, labels_of
from nmtune_client._predict.calls import predict, predict_texts
from nmtune_client._predict.options import HeadLike, Options
from nmtune_client._predict.result import Prediction

AT_ONCE = 4
"""Requests of one prediction that are under way together."""

# Small enough that several together leave the server room for others, large enough that what a
# request costs beside its rows is nothing.
_MOST_ROWS_A_REQUEST = 2048
# What a server takes, unless its operator has said otherwise.
_MOST_TEXTS_A_REQUEST = 256
_MOST_BYTES_A_REQUEST = 8 * 1024 * 1024


class Batches:
    """The requests of one prediction: the first tells the head's version, the rest ask it."""

    def __init__(
        self, head: HeadLike, embeddings: object, options: Options, *, texts: object = None
    ) -> None:
        """ValueError unless there are either embeddings or texts, and for what is wrong in them."""
        if (embeddings is None) == (texts is None):
            raise ValueError("pass either embeddings or texts=")
        if not isinstance(head, HeadLike):
            raise ValueError("the head comes first, as in predict('pets@prod', embeddings)")
        if isinstance(embeddings, str | PathLike):
            raise ValueError(
                f"{fspath(embeddings)!r} is a path, not rows: for a file call "
                f"predict_file({fspath(embeddings)!r}, head={str(head)!r}, to='out.parquet'), for "
                "texts pass texts=[...]"
            )
        self._head = str(head)
        self._rows: arrays.Embeddings | list[str] = (
            arrays.embeddings_array(embeddings) if texts is None else arrays.text_list(texts)
        )
        self._index = _index_of(embeddings if texts is None else texts)
        self._options = options
        self._size: int = min(len(self._rows), _most_rows(self._rows))

    def first(self) -> Call[Part]:
        """The request to begin with, and to wait for."""
        return self._batch(self._head, 0)

    def shrink(self) -> bool:
        """Halve the batches, for the server took fewer rows; False if they have one row already."""
        is_possible = self._size > 1
        self._size = (self._size + 1) // 2
        return is_possible

    def rest(self, first: Part) -> Sequence[Callable[[], Call[Part]]]:
        """What makes the other requests, each when it is its turn: bodies are copies of rows."""
        pinned = f"{first.head_name}@{first.head_version}"
        starts = range(self._size, len(self._rows), self._size)
        return [partial(self._batch, pinned, start) for start in starts]

    def class_names(self, first: Part) -> Call[HeadVersion] | None:
        """The request for the classes, where they are too many for an answer's headers."""
        if first.classes is not None or first.numbers is None:
            return None
        return get_head_version(first.head_name, first.head_version)

    def ask_shares(self, first: Part) -> Call[Page[HeadAlias]] | None:
        """The request for the alias's class shares, which the other requests need: they ask the
        version, not the alias, which may move meanwhile.
        """
        if not first.has_shares_of_alias or self._size >= len(self._rows):
            return None
        return list_aliases(first.head_name)

    def keep_shares(self, aliases: Page[HeadAlias]) -> None:
        """Ask the other requests with the class shares of the alias."""
        label = self._head.partition("@")[2]
        shares = next((one.class_shares for one in aliases.items if one.alias == label), None)
        self._options = replace(self._options, class_shares=shares)

    def joined(self, parts: Sequence[Part], version: HeadVersion | None) -> Prediction:
        """The answers to all requests, in order, as one; `version` is what `class_names` got."""
        first = parts[0]
        classes = version.classes if version is not None else first.classes or ()
        labels = [one for part in parts if (one := labels_of(part, classes)) is not None]
        values = {"labels": np.concatenate(labels)} if labels else {}
        values |= {
            name: np.concatenate([part.values[name] for part in parts]) for name in first.values
        }
        return Prediction(
            classes=classes,
            head_name=first.head_name,
            head_version=first.head_version,
            values=values,
            extras={
                name: list(chain.from_iterable(part.extras[name] for part in parts))
                for name in first.extras
            },
            ood_threshold=first.ood_threshold,
            index=self._index,
        )

    def _batch(self, head: str, start: int) -> Call[Part]:
        rows = self._rows[start : start + self._size]
        if isinstance(rows, list):
            return predict_texts(head, rows, options=self._options)
        return predict(head, rows, options=self._options)


def _most_rows(rows: arrays.Embeddings | list[str]) -> int:
    """How many of these go in one request."""
    if isinstance(rows, list):
        return _MOST_TEXTS_A_REQUEST
    n_columns: int = rows.shape[1]
    return max(1, min(_MOST_ROWS_A_REQUEST, _MOST_BYTES_A_REQUEST // (4 * n_columns)))


def _index_of(rows: object) -> Any:
    """The row names of a pandas DataFrame or Series; None for all else."""
    is_pandas = type(rows).__module__.partition(".")[0] == "pandas"
    return getattr(rows, "index", None) if is_pandas else None

"""Home of predictions: what may be asked of a head, and what it says about n rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nmtune_client._types import Head, HeadRef, HeadVersion

if TYPE_CHECKING:
    import pandas as pd

HeadLike: TypeAlias = str | Head | HeadRef | HeadVersion
Output: TypeAlias = Literal["probabilities", "logits", "embeddings", "labels"]

_VALUES = ("probabilities", "logits", "embeddings")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What else is asked with a prediction; what is None is left to the server."""

    output: Output | None = None
    top_k: int | None = None
    abstain_below: float | None = None
    conformal_level: float | None = None
    ood: bool | None = None

    def params(self) -> dict[str, str]:
        """The options as query parameters."""
        values = {spec.name: getattr(self, spec.name) for spec in fields(self)}
        return {name: _text(value) for name, value in values.items() if value is not None}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What a head says about n rows.

    `labels` (n,) numpy strings, the most probable class of each row; objects with None among them
    where the head abstained. `probabilities`, `logits` (n, c) and `embeddings` (n, m) float32:
    whichever was asked for, else AttributeError; of the first two, the columns are `classes`.
    `extras`: what else the server said of each row, lists of n by their names in its answer.
    `head_name` and `head_version` name the immutable version that answered, whatever alias was
    asked for. `index`: that of the pandas DataFrame that was predicted for.
    """

    labels: NDArray[Any]
    classes: tuple[str, ...]
    head_name: str
    head_version: int
    values: Mapping[str, NDArray[np.float32]]
    extras: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    index: Any = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """(n, c)."""
        return self._value("probabilities")

    @property
    def logits(self) -> NDArray[np.float32]:
        """(n, c), not divided by the head's temperature."""
        return self._value("logits")

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """(n, m): the tuned embeddings."""
        return self._value("embeddings")

    def top(self, k: int) -> Iterator[list[tuple[str, float]]]:
        """For each row its `k` most probable (class, probability), best first."""
        for row in self.probabilities:
            # stable, so that equal probabilities keep the order of the classes
            order = np.argsort(-row, kind="stable")[:k]
            yield [(self.classes[index], float(row[index])) for index in order]

    def to_pandas(self) -> "pd.DataFrame":
        """A DataFrame with a row for each row: `label`, `probability_<class>`, ..., the extras.

        Its index is that of the DataFrame that was predicted for, if it was one.
        """
        try:
            import pandas as pd
        except ImportError:
            raise ImportError("to_pandas() needs pandas: pip install pandas") from None
        columns: dict[str, Any] = {"label": self.labels}
        for name, values in self.values.items():
            of_columns = range(values.shape[1]) if name == "embeddings" else self.classes
            singular = "probability" if name == "probabilities" else name.removesuffix("s")
            columns |= {f"{singular}_{one}": values[:, j] for j, one in enumerate(of_columns)}
        columns |= self.extras
        return pd.DataFrame(columns, index=self.index)

    def _value(self, name: str) -> NDArray[np.float32]:
        if name not in self.values:
            raise AttributeError(f"this prediction has no {name}: ask with output={name!r}")
        return self.values[name]


def joined(parts: Sequence[Prediction], *, index: Any = None) -> Prediction:
    """The predictions of one head version for consecutive rows as one, in their order."""
    first = parts[0]
    return Prediction(
        labels=np.concatenate([part.labels for part in parts]),
        classes=first.classes,
        head_name=first.head_name,
        head_version=first.head_version,
        values={
            name: np.concatenate([part.values[name] for part in parts]) for name in first.values
        },
        extras={
            name: [one for part in parts for one in part.extras[name]] for name in first.extras
        },
        index=index,
    )


def read_prediction(data: Any, n_rows: int) -> Prediction:
    """The JSON answer to a request of n rows; ValueError and the like if it is not as expected."""
    classes = tuple(data["classes"])
    labels = np.asarray(data["labels"])
    if labels.shape != (n_rows,):
        raise ValueError(f"{n_rows} rows were sent, {labels.size} labels came back")
    values = {name: np.asarray(data[name], dtype=np.float32) for name in _VALUES if data.get(name)}
    for name, array in values.items():
        width = array.shape[-1] if name == "embeddings" else len(classes)
        if array.shape != (n_rows, width):
            raise ValueError(f"{n_rows} rows were sent, {name} of {array.shape} came back")
    known = {"head", "classes", "labels", *_VALUES}
    return Prediction(
        labels=labels if labels.dtype.kind == "O" else labels.astype(np.str_),
        classes=classes,
        head_name=data["head"]["name"],
        head_version=int(data["head"]["version"]),
        values=values,
        extras={
            name: value
            for name, value in data.items()
            if name not in known and isinstance(value, list) and len(value) == n_rows
        },
    )

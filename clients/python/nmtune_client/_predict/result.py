"""A prediction: what a head answers for n rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmtune_client._heads.values import HeadRef
from nmtune_client._show.reprs import short

if TYPE_CHECKING:
    import pandas as pd

_SINGULARS = {
    "labels": "label",
    "probabilities": "probability",
    "logits": "logit",
    "embeddings": "embedding",
    "ood_scores": "ood_score",
    "sets": "set",
}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Prediction:
    """What a head says about n rows.

    `labels` (n,) numpy strings, the most probable class of each row; objects with None among them
    where the head abstained. `probabilities`, `logits` (n, c) and `embeddings` (n, m) float32:
    whichever was asked for; another one is an AttributeError that says how to ask. Of the first
    two, the columns are `classes`. `sets`: with conformal_level=. `ood_scores`, `is_ood` and
    `ood_threshold`: with ood=True. `extras`: what else the server said of each row, lists of n by
    their names in its answer. `head_name` and `head_version` name the immutable version that
    answered, whatever alias was asked for. `index`: that of the pandas
    DataFrame or Series predicted for.
    """

    classes: tuple[str, ...]
    head_name: str
    head_version: int
    values: Mapping[str, NDArray[Any]]
    extras: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    ood_threshold: float | None = None
    index: Any = None

    @property
    def head(self) -> HeadRef:
        """The version that answered, as one: `pets@3`."""
        return HeadRef(name=self.head_name, version=self.head_version)

    def __repr__(self) -> str:
        has = [*self.values, *self.extras]
        return (
            f"Prediction(head={str(self.head)!r}, n_rows={len(self)}, "
            f"n_classes={len(self.classes)}, has={short(has)})"
        )

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    @property
    def labels(self) -> NDArray[Any]:
        """(n,): the most probable class of each row, None where the head abstained."""
        if "labels" not in self.values:
            raise AttributeError(
                "tuned embeddings come without labels: call predict without output='embeddings'"
            )
        return self.values["labels"]

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

    @property
    def sets(self) -> Sequence[Sequence[str]]:
        """n sets of classes, each the most probable first, that hold the true one so often."""
        if "sets" not in self.extras:
            raise AttributeError("this prediction has no sets: ask with conformal_level=0.9")
        return self.extras["sets"]

    @property
    def ood_scores(self) -> NDArray[np.float32]:
        """(n,): how far each row is from the rows of the training; above `ood_threshold`, far."""
        return self._value("ood_scores", ask="ood=True")

    @property
    def is_ood(self) -> NDArray[np.bool_]:
        """(n,): whether each score is above the threshold."""
        return self._value("is_ood", ask="ood=True")

    def top(self, k: int) -> Iterator[list[tuple[str, float]]]:
        """For each row its `k` most probable (class, probability), best first.

        With top_k= there are no more than were asked for.
        """
        if "top_probabilities" in self.extras:
            rows = zip(self.extras["top_labels"], self.extras["top_probabilities"], strict=True)
            for labels, probabilities in rows:
                yield list(zip(labels[:k], probabilities[:k], strict=True))
            return
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
        columns: dict[str, Any] = {}
        for name, values in self.values.items():
            singular = _SINGULARS.get(name, name)
            if values.ndim == 1:
                columns[singular] = values
            else:
                of_columns = range(values.shape[1]) if name == "embeddings" else self.classes
                columns |= {f"{singular}_{one}": values[:, j] for j, one in enumerate(of_columns)}
        columns |= {_SINGULARS.get(name, name): value for name, value in self.extras.items()}
        return pd.DataFrame(columns, index=self.index)

    def _value(self, name: str, *, ask: str | None = None) -> NDArray[Any]:
        if name not in self.values:
            raise AttributeError(
                f"this prediction has no {name}: ask with {ask or f'output={name!r}'}"
            )
        return self.values[name]

"""The page of a job's map."""

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_N_DRAWN: Final = 1000
_SHARE: Final = 0.995
_SIDE: Final = 65_535
_VIEWS: Final = ("pca_tuned", "pca_raw", "tsne_tuned", "tsne_raw")


def found_in(metadata: Mapping[str, str], columns: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """What the page says of a map's columns, and of some of its points where they lie."""
    classes = json.loads(metadata["classes"])
    label = columns["label"].astype(np.int64)
    is_error = label != columns["predicted"]
    is_suspected = columns["suspected"] > 0
    counts = [
        np.bincount(label[which], minlength=len(classes)).tolist()
        for which in (slice(None), is_error, is_suspected)
    ]
    n_points = len(label)
    some = np.unique(np.linspace(0, n_points - 1, min(n_points, _N_DRAWN)).astype(np.int64))
    places = columns["pca_tuned"][some] / _SIDE
    return {
        "splits": json.loads(metadata["splits"]),
        "explained_variance": json.loads(metadata["explained_variance"]),
        "tsne": metadata.get("tsne"),
        "views": [name for name in _VIEWS if name in columns],
        "ood_threshold": json.loads(metadata.get("ood_threshold", "null")),
        "ood_top": _top(columns.get("ood_score")),
        "n_points": n_points,
        "n_rows": json.loads(metadata["n_rows"]),
        "by_class": [
            {"name": name, "n_points": n, "n_errors": errors, "n_suspected": suspected}
            for name, n, errors, suspected in zip(classes, *counts, strict=True)
        ],
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "kind": np.where(is_suspected, 2, is_error)[some].tolist(),
    }


def _top(scores: NDArray[Any] | None) -> float | None:
    """Where the histogram of the scores ends; few of them lie beyond."""
    return None if scores is None else round(1.05 * float(np.quantile(scores, _SHARE)), 3)

"""A report's figures as tidy DataFrames of pandas, which is imported only here."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nmtune_client._names import OOD_PREFIX
from nmtune_client._report.data import ReportData
from nmtune_client._report.parts import Metrics

if TYPE_CHECKING:
    import pandas as pd

METRICS = ("accuracy", "macro_f1", "log_loss", "ece")
_LEARNT_FROM = ("train", "validation")  # the latter by early stopping
_Z = 1.959963984540054  # of a two-sided 95 % interval

_METRIC_COLUMNS = (
    *("candidate", "published", "split", "kind", "metric"),
    *("value", "low", "high", "n_rows"),
)
_COMPARISON_COLUMNS = (
    *("candidate", "baseline", "split", "kind", "n_rows", "accuracy_difference"),
    *("low", "high", "p_value", "finding", "n_gained", "n_lost"),
    *("candidate_accuracy", "baseline_accuracy", "macro_f1_difference", "picked_from"),
)


def frame_of(report: ReportData, table: str) -> "pd.DataFrame":
    """The table "metrics" or "comparison"; ValueError for another name."""
    if table not in ("metrics", "comparison"):
        raise ValueError(f"table must be 'metrics' or 'comparison', got {table!r}")
    try:
        import pandas as pd
    except ImportError:
        raise ImportError("to_pandas() needs pandas: pip install 'nmtune-client[pandas]'") from None
    if table == "metrics":
        frame = pd.DataFrame(list(_metrics(report)), columns=_METRIC_COLUMNS)
        return frame.astype({"n_rows": "Int64"})  # a mean has none
    return pd.DataFrame(list(_comparisons(report)), columns=_COMPARISON_COLUMNS)


def _metrics(report: ReportData) -> Iterator[dict[str, Any]]:
    means = [row for row in report.table() if row.kind == "ood_mean"]
    for name in report.candidates:
        whose = {"candidate": name, "published": name == report.method}
        for split, found in report.candidate(name).metrics.items():
            for metric in METRICS:
                value = getattr(found, metric)
                if value is None:
                    continue
                low, high = _interval(found, split) if metric == "accuracy" else (None, None)
                yield whose | {
                    "split": split,
                    "kind": _kind(split),
                    "metric": metric,
                    "value": value,
                    "low": low,
                    "high": high,
                    "n_rows": found.n_rows,
                }
        for row in means:
            for metric, values in (("accuracy", row.accuracy), ("macro_f1", row.macro_f1)):
                if name in values:
                    yield whose | {
                        "split": row.split,
                        "kind": row.kind,
                        "metric": metric,
                        "value": values[name],
                    }


def _kind(split: str) -> str:
    if split.startswith(OOD_PREFIX):
        return "ood"
    return split if split in ("train", "validation") else "id"


def _interval(found: Metrics, split: str) -> tuple[float | None, float | None]:
    """The 95 % interval of an accuracy; none on rows that were learnt from."""
    sent = found.get("accuracy_interval")
    if isinstance(sent, list | tuple) and len(sent) == 2:
        return sent[0], sent[1]
    if found.accuracy is None or not found.n_rows or split in _LEARNT_FROM:
        return None, None
    return wilson(found.accuracy, found.n_rows)


def wilson(share: float, n_rows: int) -> tuple[float, float]:
    """The 95 % interval of a share over n rows (Wilson 1927)."""
    z2 = _Z * _Z / n_rows
    centre = (share + z2 / 2) / (1 + z2)
    half = _Z * math.sqrt(share * (1 - share) / n_rows + z2 / (4 * n_rows)) / (1 + z2)
    return max(0.0, centre - half), min(1.0, centre + half)


def _comparisons(report: ReportData) -> Iterator[dict[str, Any]]:
    for one in report.comparison:
        low, high = one.interval if len(one.interval) == 2 else (None, None)
        values = {name: getattr(one, name, None) for name in _COMPARISON_COLUMNS}
        yield values | {"low": low, "high": high}

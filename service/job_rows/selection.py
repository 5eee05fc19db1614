"""Select and order rows by what a candidate says of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune.vocabulary import TRAIN
from service.http.errors import Problem
from service.job_rows.schemas import RowQuery

if TYPE_CHECKING:
    from store.files.job_rows import JobRows, SplitRows

_SHOWN: Final = 20
_OF_PUBLISHED: Final = ("predicted_probability", "set_size")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The matching rows of a job, before they are ordered.

    rows: split name -> (k,) rows, rising. candidate: who predicts. left_out: splits of which the
    candidate says nothing, though the query asks what it says.
    """

    candidate: str
    rows: Mapping[str, NDArray[np.int64]]
    left_out: tuple[str, ...]

    @property
    def n_rows(self) -> int:
        """How many rows match."""
        return sum(len(rows) for rows in self.rows.values())


def select(found: "JobRows", query: RowQuery) -> Selection:
    """The rows that match. Raises Problem, which names the parameter and says what there is."""
    candidate = _candidate(found, query.candidate, "candidate") or found.published
    against = _candidate(found, query.against, "against")
    _check(found, query, candidate=candidate, against=against)
    label = _class_index(found, query.label, "label")
    predicted = _class_index(found, query.predicted, "predicted")
    asks = predicted is not None or query.only not in (None, "suspected")
    rows: dict[str, NDArray[np.int64]] = {}
    left_out = []
    for split in [query.split] if query.split is not None else found.splits:
        values = found.splits[split]
        said = values.predictions.get(candidate)
        other = values.predictions.get(against) if against else None
        if asks and (said is None or (against is not None and other is None)):
            left_out.append(split)
            continue
        mask = np.ones(len(values.label), bool)
        if label is not None:
            mask &= values.label == label
        if predicted is not None and said is not None:
            mask &= said.predicted == predicted
        if query.only == "suspected":
            is_suspected = np.zeros(len(mask), bool)
            if split == TRAIN:
                is_suspected[found.suspects.rows] = True
            mask &= is_suspected
        elif query.only is not None and said is not None:
            mask &= _right_or_wrong(query.only, values, said.predicted, other)
        rows[split] = np.flatnonzero(mask)
    return Selection(candidate=candidate, rows=rows, left_out=tuple(left_out))


def _right_or_wrong(
    only: str, values: "SplitRows", predicted: NDArray[Any], other: Any
) -> NDArray[np.bool_]:
    is_right = np.asarray(predicted == values.label)
    if only in ("errors", "correct"):
        return is_right if only == "correct" else ~is_right
    other_is_right = np.asarray(other.predicted == values.label)
    return is_right & ~other_is_right if only == "gained" else other_is_right & ~is_right


def ordered(
    found: "JobRows", selection: Selection, sort: str, *, first: int = 0, limit: int | None = None
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """The rows in their order from the one numbered `first` on, `limit` at most, run by run.

    Each run is a split and consecutive rows (k,) of it in the order.
    """
    stop = selection.n_rows if limit is None else min(first + limit, selection.n_rows)
    splits = list(selection.rows)
    at = np.cumsum([0, *(len(selection.rows[split]) for split in splits)])
    if sort == "row":
        places = np.arange(first, max(first, stop))
    else:
        places = _first_places(_keys(found, selection, sort), stop)[first:]
    of = np.searchsorted(at, places, side="right") - 1
    bounds = [0, *(np.flatnonzero(np.diff(of)) + 1).tolist(), len(places)]
    for begin, end in pairwise(bounds):
        if begin < end:
            split = splits[of[begin]]
            yield split, selection.rows[split][places[begin:end] - at[of[begin]]]


def _first_places(keys: NDArray[np.float64], n_wanted: int) -> NDArray[np.int64]:
    """The places of the n smallest keys, equal ones in their order; not all are sorted."""
    if n_wanted <= 0:
        return np.zeros(0, np.int64)
    last = np.partition(keys, n_wanted - 1)[n_wanted - 1]
    near = np.flatnonzero(keys <= last)
    return near[np.argsort(keys[near], kind="stable")][:n_wanted]


def _keys(found: "JobRows", selection: Selection, sort: str) -> NDArray[np.float64]:
    """What to order by, ascending, one for each matching row; infinity for missing values."""
    name, sign = sort.removeprefix("-"), -1.0 if sort.startswith("-") else 1.0
    parts = []
    for split, rows in selection.rows.items():
        values = _values(found, split, selection.candidate, name)
        if values is None:
            parts.append(np.full(len(rows), np.inf))
        else:
            parts.append(sign * values[rows].astype(np.float64))
    return np.concatenate(parts) if parts else np.zeros(0)


def _values(found: "JobRows", split: str, candidate: str, name: str) -> NDArray[Any] | None:
    rows = found.splits[split]
    if name == "suspicion":
        rank = np.full(len(rows.label), np.inf)
        if split == TRAIN:
            rank[found.suspects.rows] = np.arange(len(found.suspects.rows))
        return rank
    if name == "label_probability":
        said = rows.predictions.get(candidate)
        return None if said is None else said.label_probability
    values: NDArray[Any] | None = getattr(rows, name)
    return values


def _check(found: "JobRows", query: RowQuery, *, candidate: str, against: str | None) -> None:
    if query.split is not None and query.split not in found.splits:
        raise _unknown("split", query.split, list(found.splits))
    if query.only in ("gained", "lost"):
        if against is None:
            raise _refusal(
                "against",
                f"only={query.only} compares two candidates: say against which one, of "
                f"{_listed([one for one in found.candidates if one != candidate])}.",
            )
        if against == candidate:
            raise _refusal("against", f"{against!r} cannot be compared with itself.")
    elif against is not None:
        raise _refusal("against", "against needs only=gained or only=lost.")
    if query.sort == "suspicion" and query.only != "suspected":
        raise _refusal("sort", "sort=suspicion needs only=suspected.")
    if query.neighbours and query.only != "suspected":
        raise _refusal("neighbours", "Only suspected rows have neighbours: add only=suspected.")
    if query.sort.removeprefix("-") in _OF_PUBLISHED and candidate != found.published:
        raise _refusal(
            "sort",
            f"Only the published head, {found.published!r}, has values of "
            f"{query.sort.removeprefix('-')}.",
        )


def _candidate(found: "JobRows", name: str | None, field: str) -> str | None:
    if name is not None and name not in found.candidates:
        raise _unknown(field, name, list(found.candidates))
    return name


def _class_index(found: "JobRows", name: str | None, field: str) -> int | None:
    if name is None:
        return None
    try:
        return list(found.classes).index(name)
    except ValueError:
        raise _unknown(field, name, list(found.classes)) from None


def _unknown(field: str, name: str, known: list[str]) -> Problem:
    return _refusal(field, f"The job has no {field} {name[:64]!r}. It has {_listed(known)}.")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(name[:64] for name in names[:_SHOWN]) + more


def _refusal(field: str, detail: str) -> Problem:
    return Problem(422, "invalid_request", detail, field=field)

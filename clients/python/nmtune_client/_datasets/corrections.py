"""Corrections of a dataset's rows: out of dicts, a table, a report's suspects, or a CSV file."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from nmtune_client._datasets.labels import label_list
from nmtune_client._report.suspects import Suspect

_NAMES: Final = ("split", "row", "file_row", "id")
_COUNTS: Final = ("row", "file_row")
_YES: Final = {"1", "true", "yes", "x", "drop"}
_NO: Final = {"", "0", "false", "no"}


def correction(
    labels: object,
    drop: object,
    *,
    note: str | None,
    name: str | None,
    keep_seconds: int | None,
) -> dict[str, Any]:
    """The body of a correction; ValueError names the item that cannot be right."""
    given = {
        "labels": [_item(one, f"labels, item {at}", True) for at, one in _items(labels)],
        "drop": [_item(one, f"drop, item {at}", False) for at, one in _items(drop)],
        "note": note,
        "name": name,
        "keep_seconds": keep_seconds,
    }
    return {key: value for key, value in given.items() if value not in (None, [])}


def read_csv(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The labels and the rows to drop in a CSV file; ValueError names the line of what is wrong.

    Its columns: split and row, or file_row, or id; label, or drop. Others are not looked at. The
    first of row, file_row and id that is filled in names the row.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            lines = [(reader.line_num, line) for line in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as CSV in UTF-8: {error}") from None
    columns = set(reader.fieldnames or ())
    if not columns & {"row", "file_row", "id"}:
        raise ValueError(f"{path} names no rows: it needs a column row, file_row or id")
    if not columns & {"label", "drop"}:
        hint = "; to take all suggestions, rename suggested" if "suggested" in columns else ""
        raise ValueError(f"{path} corrects nothing: it needs a column label, or drop{hint}")
    labels: list[dict[str, Any]] = []
    drop: list[dict[str, Any]] = []
    for number, line in lines:
        at = f"{path}, line {number}"
        named = _named(line, at)
        if _is_yes(line.get("drop"), at):
            drop.append(named)
        elif label := line.get("label"):
            labels.append({**named, "label": label})
        else:
            raise ValueError(f"{at}: fill in label, or put 1 into drop, or leave the line out")
    return labels, drop


def _named(line: Mapping[str, Any], at: str) -> dict[str, Any]:
    """How a line of a file names its row."""
    kind = next((name for name in ("row", "file_row", "id") if line.get(name)), None)
    if kind is None:
        raise ValueError(f"{at}: it names no row")
    named = {kind: line[kind], **({"split": line["split"]} if line.get("split") else {})}
    return _item(named, at, False)


def _is_yes(value: str | None, at: str) -> bool:
    word = (value or "").strip().casefold()
    if word not in _YES | _NO:
        raise ValueError(f"{at}: drop is {value!r}; put 1 there, or nothing")
    return word in _YES


def _items(source: Any) -> Iterable[tuple[int, Any]]:
    """The items of a list, or the rows of a table of pandas, polars or pyarrow."""
    if source is None:
        return ()
    if hasattr(source, "to_pylist"):
        source = source.to_pylist()
    elif hasattr(source, "to_dicts"):
        source = source.to_dicts()
    elif hasattr(source, "iterrows"):
        source = source.to_dict("records")
    if isinstance(source, str | bytes | Mapping) or not isinstance(source, Iterable):
        raise ValueError(
            "rows are a list of dicts such as {'split': 'train', 'row': 3, 'label': 'cat'}, a "
            "table with these columns, or a report's suspects"
        )
    return enumerate(source)


def _item(one: Any, at: str, has_label: bool) -> dict[str, Any]:
    """One row as the API takes it."""
    if isinstance(one, Suspect):
        named = {"split": "train", "row": one.row}
        return {**named, "label": one.suggested} if has_label else named
    if not isinstance(one, Mapping):
        raise ValueError(f"{at}: expected a dict or a suspect, got {type(one).__name__}")
    item = {name: one[name] for name in _NAMES if name in one and not _is_missing(one[name])}
    for name in _COUNTS:
        if name in item:
            item[name] = _whole(item[name], f"{at}: {name}")
    if "id" in item:
        (item["id"],) = label_list([item["id"]], n_rows=1, name=f"{at}: id")
    if has_label:
        if "label" not in one:
            raise ValueError(f"{at}: it has no label")
        (item["label"],) = label_list([one["label"]], n_rows=1, name=f"{at}: label")
    return item


def _is_missing(value: Any) -> bool:
    """None, NaN, NA: what a table has in a cell that is empty."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def _whole(value: Any, at: str) -> int:
    """A count, also one that a table made a float of."""
    try:
        whole = int(value)
        if isinstance(value, bool) or (not isinstance(value, str) and whole != value):
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{at} is {value!r}, not a whole number") from None
    return whole

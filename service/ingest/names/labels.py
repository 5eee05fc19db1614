"""Class names: which ones are allowed, their order, and labels as class indices."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from service.ingest.errors import BadInput
from service.ingest.limits import MAX_CLASSES, MAX_LABEL_CHARACTERS
from service.ingest.names.value_name import name_of, place

_TURNING: Final = re.compile("[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_STEP: Final = re.compile(r"(^|[/\\])\.{1,2}([/\\]|$)")
_MAX_INTEGER_DIGITS: Final = 19


def check_name(name: str, *, field: str, row: int | None, part: str = "label") -> str:
    """Return `name`, or raise BadInput: 1 to 200 characters that can be stored as text.

    part: what it names. Domains and splits stand in the heads of tables, where a mark that turns
    the direction of text would disorder the line.
    """
    wrong = None
    if not name.strip():
        wrong = "is empty: give every row one, or leave the row out"
    elif len(name) > MAX_LABEL_CHARACTERS:
        wrong = f"has {len(name):,} characters; the limit is {MAX_LABEL_CHARACTERS}"
    elif any(unicodedata.category(character) == "Cc" for character in name):
        wrong = "has a control character (such as NUL, a tab or a line break): remove it"
    elif any("\ud800" <= character <= "\udfff" for character in name):
        wrong = "has half a character (a lone surrogate): send valid Unicode"
    elif part in ("domain", "split") and _TURNING.search(name):
        wrong = "has a character that breaks lines or turns the direction of text: remove it"
    elif part in ("domain", "split") and _STEP.search(name):
        wrong = "has a step of a path (. or ..): leave it out"
    if wrong:
        code = f"invalid_{part.replace('class name', 'label')}"
        message = f"{place(part, field, row)} {wrong}."
        raise BadInput(code, message, field=field, row=row)
    return name


def class_indices(
    values: NDArray[Any], *, n_classes: int, field: str, first_row: int = 0
) -> NDArray[np.int64]:
    """Check that numbers (b,) are indices into class_names; raises BadInput naming the row."""
    if values.dtype.kind == "f":
        is_wrong = ~np.isfinite(values) | (values != np.floor(values))
        for at in np.flatnonzero(is_wrong)[:1].tolist():
            name_of(float(values[at]), part="label", field=field, row=first_row + at)
    outside = np.flatnonzero((values < 0) | (values >= n_classes))
    if len(outside):
        row = first_row + int(outside[0])
        raise BadInput(
            "label_out_of_range",
            f"{field} row {row} is {values[outside[0]]}, but class_names has {n_classes:,} names, "
            f"for 0 to {n_classes - 1:,}.",
            field=field,
            row=row,
        )
    return values.astype(np.int64)


def check_classes(names: Sequence[str], *, field: str) -> tuple[str, ...]:
    """Return the class names, index = label, or raise BadInput."""
    for row, name in enumerate(names):
        check_name(name, field=field, row=row, part="class name")
    seen: dict[str, int] = {}
    for row, name in enumerate(names):
        if seen.setdefault(name, row) != row:
            raise BadInput(
                "duplicate_class",
                f"{field} has {name!r} at rows {seen[name]} and {row}: each class needs its own "
                "name.",
                field=field,
                row=row,
            )
    if len(names) < 2:
        raise too_few_classes(len(names), field=field)
    if len(names) > MAX_CLASSES:
        raise too_many_classes(field=field)
    return tuple(names)


def in_class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Integers in numeric order if all names are integers, else by character.

    It makes no difference whether a label came as 10 or as "10", so the same labels make the same
    dataset in every format.
    """
    distinct = set(names)
    return tuple(sorted(distinct, key=int if all(map(_is_integer, distinct)) else None))


def _is_integer(name: str) -> bool:
    digits = name.removeprefix("-")
    return (
        digits.isascii()
        and digits.isdecimal()
        and len(digits) <= _MAX_INTEGER_DIGITS
        and str(int(name)) == name
    )


class LabelCoder:
    """Turns label strings into codes in the order of first sight, and those into class indices.

    One instance serves all splits of a dataset, block after block, and holds one name per class.
    With `classes`, a name that is not among them is refused.
    """

    def __init__(self, classes: Sequence[str] | None = None) -> None:
        self._codes = {name: code for code, name in enumerate(classes or ())}
        self._fixed = classes is not None

    def code(self, label: str, *, field: str, row: int) -> int:
        """The code of one label, at `row` of `field`."""
        code = self._codes.get(label)
        return self._new_code(label, field=field, row=row) if code is None else code

    @property
    def names(self) -> list[str]:
        """The labels seen so far, by code."""
        return list(self._codes)

    def _new_code(self, label: str, *, field: str, row: int) -> int:
        check_name(label, field=field, row=row)
        if self._fixed:
            raise BadInput(
                "unknown_label",
                f"{place('label', field, row)} is {label[:80]!r}, which is not in class_names: "
                "add it there or correct the row.",
                field=field,
                row=row,
            )
        if len(self._codes) == MAX_CLASSES:
            raise too_many_classes(field=field)
        return self._codes.setdefault(label, len(self._codes))


def too_few_classes(n_classes: int, *, field: str) -> BadInput:
    """The error of labels with fewer than two classes."""
    return BadInput(
        "too_few_classes",
        f"{field} has {n_classes} class, but a head needs at least two: add rows of another class.",
        field=field,
    )


def too_many_classes(*, field: str) -> BadInput:
    """The error of labels that are probably ids or measurements."""
    return BadInput(
        "too_many_classes",
        f"{field} has more than {MAX_CLASSES:,} distinct labels: are these classes, or ids?",
        field=field,
    )

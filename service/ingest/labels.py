"""Home of class names: what a name may be, their order, and labels as class indices."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.ingest.errors import BadInput
from service.ingest.limits import MAX_CLASSES, MAX_LABEL_CHARACTERS

_MAX_INTEGER_DIGITS: Final = 19


def check_name(name: str, *, field: str, row: int) -> str:
    """Return `name`, or raise BadInput: 1 to 200 characters that text storage can hold."""
    wrong = None
    if not name.strip():
        wrong = "is empty"
    elif len(name) > MAX_LABEL_CHARACTERS:
        wrong = f"has {len(name):,} characters; the limit is {MAX_LABEL_CHARACTERS}"
    elif any(unicodedata.category(character) == "Cc" for character in name):
        wrong = "holds a control character (such as NUL, a tab or a line break); remove it"
    elif any("\ud800" <= character <= "\udfff" for character in name):
        wrong = "holds half a character (a lone surrogate); send valid Unicode"
    if wrong:
        raise BadInput(
            "invalid_label", f"The label at {field} row {row} {wrong}.", field=field, row=row
        )
    return name


def check_classes(names: Sequence[str], *, field: str) -> tuple[str, ...]:
    """Return the class names, index = label, or raise BadInput."""
    for row, name in enumerate(names):
        check_name(name, field=field, row=row)
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

    Whether a label came as 10 or as "10" makes no difference, so the same labels make the same
    dataset in each format.
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

    One instance serves all splits of a dataset, block after block; what is held is one name per
    class. With `classes`, a name that is not among them is refused.
    """

    def __init__(self, classes: Sequence[str] | None = None) -> None:
        self._codes = {name: code for code, name in enumerate(classes or ())}
        self._fixed = classes is not None

    def encode(self, labels: Iterable[str], *, field: str, first_row: int = 0) -> NDArray[np.int64]:
        """The codes of `labels`; `first_row` is where they begin within `field`."""
        codes = self._codes
        encoded = []
        for row, label in enumerate(labels, start=first_row):
            code = codes.get(label)
            if code is None:
                code = self._new_code(label, field=field, row=row)
            encoded.append(code)
        return np.array(encoded, np.int64)

    def code(self, label: str, *, field: str, row: int) -> int:
        """The code of one label, at `row` of `field`."""
        code = self._codes.get(label)
        return self._new_code(label, field=field, row=row) if code is None else code

    @property
    def names(self) -> list[str]:
        """The labels seen so far, in the order of their codes."""
        return list(self._codes)

    def _new_code(self, label: str, *, field: str, row: int) -> int:
        check_name(label, field=field, row=row)
        if self._fixed:
            raise BadInput(
                "unknown_label",
                f"The label {label!r} at {field} row {row} is not in class_names: add it there or "
                "correct the row.",
                field=field,
                row=row,
            )
        if len(self._codes) == MAX_CLASSES:
            raise too_many_classes(field=field)
        return self._codes.setdefault(label, len(self._codes))

    def finish(self, *, field: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """The classes in their order, and for each code its class index."""
        classes = in_class_order(self._codes) if not self._fixed else tuple(self._codes)
        if len(classes) < 2:
            raise too_few_classes(len(classes), field=field)
        place = {name: index for index, name in enumerate(classes)}
        return classes, np.array([place[name] for name in self._codes], np.int64)


def too_few_classes(n_classes: int, *, field: str) -> BadInput:
    """The error of labels that leave nothing to tell apart."""
    return BadInput(
        "too_few_classes",
        f"{field} has {n_classes} class: a head tells at least two classes apart.",
        field=field,
    )


def too_many_classes(*, field: str) -> BadInput:
    """The error of labels that are probably identifiers or measurements."""
    return BadInput(
        "too_many_classes",
        f"{field} has over {MAX_CLASSES:,} distinct labels: are these classes, or identifiers?",
        field=field,
    )

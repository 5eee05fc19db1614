"""Find classes and domains that look the same: warn about them, or make each group one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from nmtune.rows.similar_names import similar
from service.ingest.dataset.decoded import NamedColumn
from service.ingest.errors import DatasetWarning
from service.ingest.names.labels import in_class_order, too_few_classes

What = Literal["labels", "domains"]

_ADVICE: Final = " Correct them, or send merge_similar=true to merge each group."
_NOUNS: Final = {"labels": "classes", "domains": "domains"}
_SHOWN_GROUPS: Final = 5
_SHOWN_NAMES: Final = 4
_SHOWN_CHARACTERS: Final = 60


def settle(
    column: NamedColumn, *, what: What, merge: bool
) -> tuple[NamedColumn, list[DatasetWarning]]:
    """The column, and a warning about names that look the same; `merge` makes each group one."""
    names = column.names or ()
    sizes = np.bincount(column.codes, minlength=len(names)).tolist()
    kept, warnings = one_of_each(dict(zip(names, sizes, strict=True)), what=what, merge=merge)
    left = [name for name in names if kept[name] == name]
    if len(left) == len(names):
        return column, warnings
    place = {name: code for code, name in enumerate(left)}
    codes = np.array([place[kept[name]] for name in names], np.int64)[column.codes]
    return replace(column, codes=codes, names=tuple(left)), warnings


def one_of_each(
    sizes: Mapping[str, int], *, what: What, merge: bool
) -> tuple[dict[str, str], list[DatasetWarning]]:
    """The name to use for each name, and a warning about those that look the same.

    sizes: rows by name. With `merge` each group gets one name, the spelling of most of its rows (if
    several are as frequent, the first by character); otherwise all names stay.
    """
    kept = {name: name for name in sizes}
    groups = similar(sizes)
    if not groups:
        return kept, []
    if not merge:
        return kept, [_warning(f"similar_{what}", groups, what, _ADVICE)]
    for group in groups:
        kept |= dict.fromkeys(group, min(group, key=lambda name: (-sizes[name], name)))
    how = " Each group is merged, under the name that most of its rows have."
    return kept, [_warning(f"{what}_merged", groups, what, how)]


def classes_of(
    label: NamedColumn, *, merge_similar: bool, n_least: int = 2
) -> tuple[tuple[str, ...], NDArray[np.int64], list[DatasetWarning]]:
    """The classes in order, at least `n_least`, each row's index, and warnings about the names."""
    label, warnings = settle(label, what="labels", merge=merge_similar)
    names = label.names or ()
    classes = in_class_order(names)
    if len(classes) < n_least:
        raise too_few_classes(len(classes), field=label.field)
    place = {name: index for index, name in enumerate(classes)}
    return classes, np.array([place[name] for name in names], np.int64)[label.codes], warnings


def _warning(
    code: str, groups: Sequence[tuple[str, ...]], what: What, advice: str
) -> DatasetWarning:
    shown = "; ".join(_listed(group) for group in groups[:_SHOWN_GROUPS])
    more = len(groups) - _SHOWN_GROUPS
    shown += f"; and {more:,} more groups" if more > 0 else ""
    return {
        "code": code,
        "message": f"Some {_NOUNS[what]} differ only in case, spaces or Unicode form: {shown}."
        f"{advice}",
    }


def _listed(group: Sequence[str]) -> str:
    shown = " and ".join(_readable(name) for name in group[:_SHOWN_NAMES])
    more = len(group) - _SHOWN_NAMES
    return shown + (f" and {more:,} more" if more > 0 else "")


def _readable(name: str) -> str:
    """The name as it is, and by code point if it may look like another."""
    short = name[:_SHOWN_CHARACTERS]
    return repr(short) if short.isascii() else f"{short!r} ({ascii(short)[1:-1]})"

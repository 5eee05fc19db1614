"""Decide what each column of a table means: by convention, or as the request says.

`embedding` is one column of lists, or a family of numbered columns (`dim_0`, `dim_1`, ...), one per
dimension; without embeddings, `text` takes their place. The others hold one value per row.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from service.ingest.errors import FIELD, BadInput, DatasetWarning
from service.ingest.limits import MAX_COLUMNS

_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "embedding": ("embedding", "embeddings"),
    "text": ("text", "texts"),
    "label": ("label", "labels"),
    "split": ("split", "splits"),
    "domain": ("domain",),
    "group": ("group",),
    "id": ("id", "ids"),
}
_OF_LABELLED: Final = ("label", "split", "domain", "group", "id")
_OF_UNLABELLED: Final = ("id",)
_NUMBERED: Final = re.compile(r"(.*?)(0|[1-9][0-9]{0,5})", re.DOTALL)
_SHOWN: Final = 10
_MAX_OTHERS: Final = 1000
"""The most columns of a table that are not embeddings."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The columns that a request names; None: by convention.

    `embedding` may end with `*`: then it means the family of numbered columns with that prefix.
    """

    embedding: str | None = None
    text: str | None = None
    label: str | None = None
    split: str | None = None
    domain: str | None = None
    group: str | None = None
    id: str | None = None
    is_labelled: bool = True
    """False: the rows are to be predicted. They need no labels, and keep their ids."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The names of a table's columns by meaning; `embedding` has several for a family.

    A table of texts has `text` and no `embedding`; one without labels has no `label`.
    """

    embedding: tuple[str, ...]
    is_family: bool
    label: str | None = None
    text: str | None = None
    split: str | None = None
    domain: str | None = None
    group: str | None = None
    id: str | None = None
    is_id_asked_for: bool = False
    """Whether the request names the ids, or needs them: then each must be valid."""
    warnings: list[DatasetWarning] = field(default_factory=list)

    @property
    def x_field(self) -> str:
        """The name of the embeddings or the texts in errors."""
        if self.text is not None:
            return self.text
        return "embedding" if self.is_family else self.embedding[0]

    @property
    def single(self) -> dict[str, str]:
        """The columns with one value per row, by meaning."""
        given = {part: getattr(self, part) for part in _OF_LABELLED}
        return {part: name for part, name in given.items() if name is not None}

    def without_id(self, why: str) -> "Columns":
        """The same without ids, and with a warning that says why."""
        return replace(self, id=None, warnings=[*self.warnings, id_left_out(self.id or "", why)])


def choose(names: Sequence[str], wanted: Wanted) -> Columns:
    """What the columns `names` mean; raises BadInput if that is unclear."""
    _check_names(names)
    roles: dict[str, str] = {}
    for part in _OF_LABELLED if wanted.is_labelled else _OF_UNLABELLED:
        found = _single(_untaken(names, part, roles, wanted), part, getattr(wanted, part))
        if found is not None:
            roles[part] = found
    embedding: tuple[str, ...] = ()
    is_family = False
    text = _text(names, wanted, taken=set(roles.values()))
    if text is None:
        embedding, is_family = _embedding(names, wanted.embedding, taken=set(roles.values()))
    else:
        roles["text"] = text
    if wanted.is_labelled and "label" not in roles:
        raise BadInput(
            "missing_column",
            f"There is no column label. The columns are {_list(names)}. "
            f"{_guess('label', names)}Name yours with ?label=..., or, if the rows are to be "
            "predicted, say ?unlabelled=true.",
            field="label",
        )
    used = {*roles.values(), *embedding}
    return Columns(
        embedding=embedding,
        is_family=is_family,
        is_id_asked_for=wanted.id is not None or not wanted.is_labelled,
        warnings=_ignored([name for name in names if name not in used]),
        **roles,
    )


def check_late(name: str, *, row: int, chosen: Columns, wanted: Wanted) -> DatasetWarning | None:
    """Check a column that no object above `row` has; returns a warning if its ids are left out.

    Raises BadInput if the rows would mean something else with it: `chosen` is without it.
    """
    plain = name.strip().lower()
    for part in _OF_LABELLED if wanted.is_labelled else _OF_UNLABELLED:
        if plain in _NAMES[part] and getattr(chosen, part) is None:
            if part == "id" and wanted.is_labelled:
                return id_left_out(name, "is missing in the first rows")
            raise BadInput(
                f"invalid_{part}",
                f"The {part} at row 0 is missing, but row {row} has one in {name[:80]!r}: "
                "give every row one, or none.",
                field=name[:80],
                row=0,
            )
    if chosen.is_family and _prefix(name) == _prefix(chosen.embedding[0]):
        raise BadInput(
            "invalid_embeddings",
            f"Row {row} has the number {name[:80]!r}, but row 0 does not: all rows need the same "
            "number of values.",
            field=name[:80],
            row=row,
        )
    return None


def _prefix(name: str) -> str | None:
    match = _NUMBERED.fullmatch(name)
    return match[1] if match else None


def id_left_out(name: str, why: str) -> DatasetWarning:
    """The warning that rows go without the ids of a column."""
    return {
        "code": "ids_left_out",
        "message": f"The column {name[:80]} {why}. Ids are strings or integers; without them a "
        f"report "
        "names rows only by their place.",
    }


def _untaken(
    names: Sequence[str], part: str, roles: dict[str, str], wanted: Wanted
) -> Sequence[str]:
    """The columns that can be the part.

    Nobody asked for the ids of labelled rows, so they are taken only if their column is clear, and
    never from another part.
    """
    if part != "id" or wanted.id is not None or not wanted.is_labelled:
        return names
    named = {wanted.embedding, wanted.text, *roles.values()}
    left = [name for name in names if name not in named]
    plain = [name for name in left if name.strip().lower() in _NAMES["id"]]
    return plain if len(plain) == 1 else ()


def _check_names(names: Sequence[str]) -> None:
    if len(names) > MAX_COLUMNS + _MAX_OTHERS:
        raise BadInput(
            "too_large", f"The table has more than {MAX_COLUMNS:,} columns.", field=FIELD
        )
    seen = set()
    for column, name in enumerate(names):
        if name in seen:
            raise BadInput(
                "duplicate_column",
                f"Two columns are named {name[:80]!r}: rename one of them.",
                field=name[:80],
                column=column,
            )
        seen.add(name)


def _single(names: Sequence[str], part: str, wanted: str | None) -> str | None:
    if wanted is not None:
        if wanted not in names:
            raise BadInput(
                "missing_column",
                f"There is no column {wanted[:80]!r}, which ?{part}= names. The columns are "
                f"{_list(names)}. {_guess(wanted, names)}".strip(),
                field=part,
            )
        return wanted
    found = [name for name in names if name.strip().lower() in _NAMES[part]]
    if len(found) > 1:
        raise BadInput(
            "ambiguous_column",
            f"The columns {_list(found)} could all be the {part}: choose one with ?{part}=...",
            field=part,
        )
    return found[0] if found else None


def _text(names: Sequence[str], wanted: Wanted, *, taken: set[str]) -> str | None:
    """The column of the texts, if the rows are texts: named, or because there are no embeddings."""
    if wanted.text is not None:
        if wanted.embedding is not None:
            raise BadInput(
                "ambiguous_column",
                "Rows are either texts or embeddings: name only one of the two columns.",
                field="text",
            )
        return _single(names, "text", wanted.text)
    has_embedding = any(name.strip().lower() in _NAMES["embedding"] for name in names)
    left = [name for name in names if name not in taken]
    if wanted.embedding is not None or has_embedding or _families(left):
        return None
    return _single(names, "text", None)


def _embedding(
    names: Sequence[str], wanted: str | None, *, taken: set[str]
) -> tuple[tuple[str, ...], bool]:
    families = _families([name for name in names if name not in taken])
    if wanted is not None and wanted.endswith("*"):
        family = families.get(wanted[:-1])
        if family is None:
            raise BadInput(
                "missing_column",
                f"There are no columns {wanted[:-1][:80]}0, {wanted[:-1][:80]}1, ... without a "
                f"gap. The columns are {_list(names)}.",
                field="embedding",
            )
        return family, True
    single = _single(names, "embedding", wanted)
    if single is not None:
        return (single,), False
    if len(families) == 1:
        return next(iter(families.values())), True
    if families:
        shown = _list([f"{prefix}*" for prefix in families])
        raise BadInput(
            "ambiguous_column",
            f"The numbered columns {shown} could all be the embeddings: choose one family with "
            f"?embedding={next(iter(families))}*",
            field="embedding",
        )
    raise BadInput(
        "missing_column",
        "There is no column embedding, no numbered columns (dim_0, dim_1, ...) and no column text. "
        f"The columns are {_list(names)}. {_guess('embedding', names)}Name yours with "
        f"?embedding=... or ?text=...",
        field="embedding",
    )


def _families(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Numbered columns by prefix, in numeric order: at least two, from 0 or 1, without a gap."""
    numbered: dict[str, dict[int, str]] = {}
    for name in names:
        if match := _NUMBERED.fullmatch(name):
            numbered.setdefault(match[1], {})[int(match[2])] = name
    families = {}
    for prefix, columns in numbered.items():
        numbers = sorted(columns)
        first = numbers[0]
        if len(numbers) > 1 and first in (0, 1) and numbers[-1] - first == len(numbers) - 1:
            families[prefix] = tuple(columns[number] for number in numbers)
    return families


def _ignored(names: Sequence[str]) -> list[DatasetWarning]:
    if not names:
        return []
    message = f"Left out: {_list(names)}."
    lower = {name.strip().lower() for name in names}
    if "text" in lower:
        message += " The embeddings are used, not the texts."
    if "weight" in lower:
        message += " All rows weigh the same; repeat rows that should count more."
    return [{"code": "columns_ignored", "message": message}]


def late_ignored(names: Sequence[str]) -> DatasetWarning:
    """The warning that columns were left out which the first row of a file does not have."""
    return {
        "code": "columns_ignored",
        "message": f"Left out, as only later rows have them: {_list(names)}.",
    }


def _guess(name: str, names: Sequence[str]) -> str:
    others = ("class", "target", "category", "y") if name == "label" else ("vector", "emb", "x")
    lower = {known.lower(): known for known in names}
    close = [lower[other] for other in others if other in lower]
    close += difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"Did you mean {close[0][:80]!r}? " if close else ""


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:_SHOWN])
    more = len(names) - _SHOWN
    return (shown or "none") + (f" and {more:,} more" if more > 0 else "")


def as_json(wanted: Wanted) -> dict[str, Any]:
    """The same as a JSON object, for the decoding process."""
    return asdict(wanted)

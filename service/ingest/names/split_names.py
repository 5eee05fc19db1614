"""The names that a split may have: one rule for columns, arrays, parts of a form and JSON."""

import re
from typing import Final

from nmtune.vocabulary import ID_SPLIT, OOD_PREFIX, TRAIN, VALIDATION
from service.ingest.errors import BadInput
from service.ingest.names.labels import check_name
from service.ingest.names.value_name import place

PLAIN: Final = (TRAIN, VALIDATION, ID_SPLIT)
OOD: Final = "ood"
_ARRAY: Final = re.compile(r"(.+)[_/](x|y|rows|ids)", re.DOTALL)
_ARRAY_PREFIX: Final = "ood_"
_ENCODED: Final = re.compile(r"%(2[Ff]|5[Cc]|3[Aa]|25)")
_OTHER_NAMES: Final = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "testing": "test",
}
RULE: Final = "use train, validation (or val, valid, dev), test, or ood/<domain>"


def plain_split(name: str) -> str | None:
    """train, validation or test, whatever its case, spaces around it, or short form; or None."""
    low = name.strip().casefold()
    low = _OTHER_NAMES.get(low, low)
    return low if low in PLAIN else None


def split_of(name: str) -> str | None:
    """The split that `name` means: a plain one, `ood/<domain>`, just `ood`, or None."""
    plain = plain_split(name)
    if plain is not None:
        return plain
    name = name.strip()
    if name.casefold() == OOD:
        return OOD
    head, domain = name[: len(OOD_PREFIX)], name[len(OOD_PREFIX) :]
    return f"{OOD_PREFIX}{domain}" if head.casefold() == OOD_PREFIX and domain.strip() else None


def split_of_array(name: str) -> tuple[str, str] | None:
    """Split and part (x, y, rows, ids) in the name of an array, such as val_x; or None.

    Characters that file names cannot have (`/`, `\\`, `:`, `%`) are percent-encoded in a domain.
    """
    match = _ARRAY.fullmatch(name)
    if match is None:
        return None
    prefix, part = match[1], match[2]
    plain = plain_split(prefix)
    if plain is not None:
        return plain, part
    if prefix[: len(_ARRAY_PREFIX)].casefold() != _ARRAY_PREFIX:
        return None
    domain = _ENCODED.sub(lambda found: chr(int(found[1], 16)), prefix[len(_ARRAY_PREFIX) :])
    return (split_of_domain(domain), part) if domain.strip() else None


def split_of_domain(domain: str) -> str:
    """The split that holds out a domain; its name can be any text and is shown as it is."""
    return f"{OOD_PREFIX}{domain}"


def check_split(split: str, *, field: str, row: int | None = None) -> str:
    """Return `split`, or raise BadInput: the name of its domain must be fit to be shown."""
    domain = split.removeprefix(OOD_PREFIX)
    if domain != split:
        check_name(domain, field=field, row=row, part="domain")
    return split


def invalid_split(given: str, *, field: str, row: int) -> BadInput:
    """The error of a value that names no split."""
    return BadInput(
        "invalid_split",
        f"{place('split', field, row)} is {given[:80]!r}: {RULE}.",
        field=field,
        row=row,
    )


def in_order(names: set[str]) -> list[str]:
    """train, validation, test, then the domains by name."""
    return [name for name in PLAIN if name in names] + sorted(names - set(PLAIN))

"""Home of which row goes to which split: as the file says, by domain, or made with a seed."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import DataError
from nmtune.grouped_split import grouped_split
from nmtune.split import stratified_split
from service.ingest.decoded import NamedColumn
from service.ingest.errors import BadInput
from service.ingest.notice import Warning_
from store.names import is_name

TEST_FRACTION: Final = 0.2
SPLIT_SEED: Final = 0

_PLAIN: Final = ("train", "validation", "test")
_OTHER_NAMES: Final = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "testing": "test",
}
_OOD: Final = "ood"
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]+")
_SHOWN: Final = 10


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """How splits are made where the file does not say.

    `ood_domains`: the domains to hold out, () for none; None: the one with the fewest rows.
    """

    ood_domains: tuple[str, ...] | None = None
    test_fraction: float = TEST_FRACTION
    seed: int = SPLIT_SEED


RowsBySplit = dict[str, NDArray[np.intp]]


def assign(
    y: NDArray[np.int64],
    *,
    split: NamedColumn | None = None,
    domain: NamedColumn | None = None,
    group: NamedColumn | None = None,
    options: SplitOptions,
) -> tuple[RowsBySplit, list[Warning_]]:
    """Rows by split, ascending, in the order train, validation, test, then domains by name.

    y: (n,) class indices. Raises BadInput.
    """
    if split is not None:
        if options.ood_domains is not None:
            raise BadInput(
                "split_given",
                f"The column {split.field[:80]} says which row is in which split: leave out "
                "ood_domains, or the column.",
                field="ood_domains",
            )
        return _given(split, domain), []
    if domain is None and options.ood_domains:
        raise BadInput(
            "missing_column",
            "ood_domains needs a column domain: name yours with ?domain=...",
            field="domain",
        )
    held_out, warnings = _ood(domain, options, len(y)) if domain else ({}, [])
    inside = np.ones(len(y), np.bool_)
    for rows in held_out.values():
        inside[rows] = False
    made, made_warnings = _made(np.flatnonzero(inside), y, group, options)
    return made | dict(sorted(held_out.items())), warnings + made_warnings


def _given(split: NamedColumn, domain: NamedColumn | None) -> RowsBySplit:
    names = split.names or ()
    rows: dict[str, list[NDArray[np.intp]]] = {}
    for code, given in enumerate(names):
        mine = np.flatnonzero(split.codes == code)
        name = given.strip()
        name = _OTHER_NAMES.get(name.lower(), name.lower() if name.lower() in _PLAIN else name)
        if name == _OOD and domain is not None:
            for domain_code in np.unique(domain.codes[mine]).tolist():
                part = mine[domain.codes[mine] == domain_code]
                rows.setdefault(_ood_name((domain.names or ())[domain_code]), []).append(part)
        elif name in _PLAIN or (name.startswith("ood/") and is_name(name.removeprefix("ood/"))):
            rows.setdefault(name, []).append(mine)
        else:
            row = int(mine[0])
            raise BadInput(
                "invalid_split",
                f"The split at row {row} is {given[:80]!r}: use train, validation, test, or "
                "ood/<domain> (or ood, with a column domain).",
                field=split.field,
                row=row,
            )
    if "train" not in rows:
        raise BadInput(
            "no_train_rows",
            "No row has the split train: nothing to learn from.",
            field=split.field,
        )
    return {name: np.sort(np.concatenate(rows[name])) for name in _in_order(rows)}


def _ood(
    domain: NamedColumn, options: SplitOptions, n_rows: int
) -> tuple[RowsBySplit, list[Warning_]]:
    """The rows of each domain that is held out."""
    names = domain.names or ()
    sizes = np.bincount(domain.codes, minlength=len(names))
    warnings: list[Warning_] = []
    chosen: Sequence[str]
    if options.ood_domains is not None:
        chosen = options.ood_domains
        for name in chosen:
            if name not in names:
                raise BadInput(
                    "unknown_domain",
                    f"There is no row of the domain {name[:80]!r}. The domains are "
                    f"{', '.join(repr(known[:40]) for known in names[:_SHOWN])}.",
                    field="ood_domains",
                )
    elif len(names) < 2:
        return {}, []
    else:
        chosen = [min(zip(sizes.tolist(), names, strict=True))[1]]
        warnings.append(
            {
                "code": "domain_held_out",
                "message": f"The domain {chosen[0]!r}, which has the fewest rows, is held out as "
                f"{_ood_name(chosen[0])}. Choose others with ood_domains=a,b, or none with "
                "ood_domains=none.",
            }
        )
    rows: RowsBySplit = {}
    for name in dict.fromkeys(chosen):
        split = _ood_name(name)
        if split in rows:
            raise BadInput(
                "invalid_domain",
                f"Two domains would both be called {split}: rename one.",
                field=domain.field,
            )
        rows[split] = np.flatnonzero(domain.codes == names.index(name))
    if sum(map(len, rows.values())) == n_rows:
        raise BadInput(
            "no_train_rows",
            "All domains are held out: leave at least one to learn from.",
            field="ood_domains",
        )
    return rows, warnings


def _made(
    rows: NDArray[np.intp], y: NDArray[np.int64], group: NamedColumn | None, options: SplitOptions
) -> tuple[RowsBySplit, list[Warning_]]:
    """A seeded test split of the rows, the rest to train."""
    how = "stratified by class"
    if group is None:
        kept, held_out = stratified_split(
            y[rows], fraction=options.test_fraction, seed=options.seed
        )
    else:
        how = f"whole groups of {group.field[:80]}"
        try:
            kept, held_out = grouped_split(
                y[rows], group.codes[rows], fraction=options.test_fraction, seed=options.seed
            )
        except DataError as error:
            raise BadInput(
                "invalid_group",
                "All rows have the same group: at least two are needed to hold one out.",
                field=group.field,
            ) from error
    if not len(held_out):
        return {"train": rows}, []
    warning: Warning_ = {
        "code": "split_made",
        "message": f"No splits were given, so {len(held_out):,} of {len(rows):,} rows became test: "
        f"{how}, chosen with the seed {options.seed}. Send a column split to decide yourself"
        + (
            ", or a column group if rows belong together (the same person, document or day)."
            if group is None
            else "."
        ),
    }
    return {"train": rows[kept], "test": rows[held_out]}, [warning]


def _ood_name(domain: str) -> str:
    """The split of a domain: characters that names lack become `-`."""
    name = _NOT_IN_NAMES.sub("-", domain).lstrip("._-")[:64]
    if not is_name(name):
        raise BadInput(
            "invalid_domain",
            f"The domain {domain[:80]!r} has no letter or digit to name a split by.",
            field="domain",
        )
    return f"ood/{name}"


def _in_order(names: Collection[str]) -> list[str]:
    plain = [name for name in _PLAIN if name in names]
    return plain + sorted(set(names) - set(plain))

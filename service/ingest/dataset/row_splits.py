"""Decide which row goes to which split: as the file says, by domain, or with a seed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import DataError
from nmtune.rows.similar_names import similar
from nmtune.rows.split import grouped_split, stratified_split
from nmtune.vocabulary import TRAIN
from service.ingest.dataset.decoded import NamedColumn
from service.ingest.dataset.similar_names import settle
from service.ingest.errors import BadInput, DatasetWarning
from service.ingest.names.split_names import (
    OOD,
    check_split,
    in_order,
    invalid_split,
    split_of,
    split_of_domain,
)

TEST_FRACTION: Final = 0.2
SPLIT_SEED: Final = 0

_SHOWN: Final = 10


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """How splits are made if the file has none.

    `ood_domains`: the domains to hold out, () for no domain; None: the one with the fewest rows.
    `merge_similar`: merge classes, and domains, that look the same.
    """

    ood_domains: tuple[str, ...] | None = None
    test_fraction: float = TEST_FRACTION
    seed: int = SPLIT_SEED
    merge_similar: bool = False


RowsBySplit = dict[str, NDArray[np.intp]]


def assign(
    y: NDArray[np.int64],
    *,
    split: NamedColumn | None = None,
    domain: NamedColumn | None = None,
    group: NamedColumn | None = None,
    options: SplitOptions,
) -> tuple[RowsBySplit, list[DatasetWarning]]:
    """Rows by split, ascending, in the order train, validation, test, then domains by name.

    y: (n,) class indices. Raises BadInput.
    """
    found: list[DatasetWarning] = []
    if domain is not None:
        domain, found = settle(domain, what="domains", merge=options.merge_similar)
    if split is not None:
        if options.ood_domains is not None:
            raise BadInput(
                "split_given",
                f"The column {split.field[:80]} already says which row is in which split: leave "
                f"out "
                "ood_domains, or the column.",
                field="ood_domains",
            )
        rows_by_split, more = given(split, domain, merge_similar=options.merge_similar)
        return rows_by_split, found + more
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
    return made | dict(sorted(held_out.items())), found + warnings + made_warnings


def of_addition(
    n_rows: int, split: NamedColumn | None, domain: NamedColumn | None = None
) -> RowsBySplit:
    """Rows by split of rows that join a dataset: all train unless they say it. Raises BadInput.

    A domain alone is refused: whether the dataset holds it out is for the sender to know.
    """
    if split is not None:
        return given(split, domain, needs_train=False)[0]
    if domain is not None:
        raise BadInput(
            "missing_column",
            f"The rows have a column {domain.field[:80]}, but no column split: say where they "
            "go (train, validation, test, ood/<domain>), or leave the column out.",
            field="split",
        )
    return {TRAIN: np.arange(n_rows)}


def given(
    split: NamedColumn,
    domain: NamedColumn | None = None,
    *,
    merge_similar: bool = False,
    needs_train: bool = True,
) -> tuple[RowsBySplit, list[DatasetWarning]]:
    """Rows by split as the column `split` says (plain `ood`: by `domain`); raises BadInput."""
    split, warnings = settle(_canonical(split, domain), what="domains", merge=merge_similar)
    rows: dict[str, list[NDArray[np.intp]]] = {}
    for code, name in enumerate(split.names or ()):
        mine = np.flatnonzero(split.codes == code)
        if name == OOD and domain is not None:
            for domain_code in np.unique(domain.codes[mine]).tolist():
                part = mine[domain.codes[mine] == domain_code]
                of_domain = split_of_domain((domain.names or ())[domain_code])
                rows.setdefault(of_domain, []).append(part)
        else:
            rows.setdefault(name, []).append(mine)
    if TRAIN not in rows and needs_train:
        raise BadInput(
            "no_train_rows",
            "No row has the split train. Put some rows in it: the head is trained on them.",
            field=split.field,
        )
    return {name: np.sort(np.concatenate(rows[name])) for name in in_order(set(rows))}, warnings


def _canonical(split: NamedColumn, domain: NamedColumn | None) -> NamedColumn:
    """The same, with each name as the split that it means; raises BadInput if there is none."""
    names: dict[str, int] = {}
    codes = []
    for code, written in enumerate(split.names or ()):
        name = split_of(written)
        row = int(np.argmax(split.codes == code))
        if name is None or (name == OOD and domain is None):
            raise invalid_split(written, field=split.field, row=row)
        check_split(name, field=split.field, row=row)
        codes.append(names.setdefault(name, len(names)))
    return replace(split, names=tuple(names), codes=np.array(codes, np.int64)[split.codes])


def _ood(
    domain: NamedColumn, options: SplitOptions, n_rows: int
) -> tuple[RowsBySplit, list[DatasetWarning]]:
    """The rows of each domain that is held out."""
    names = domain.names or ()
    sizes = np.bincount(domain.codes, minlength=len(names))
    warnings: list[DatasetWarning] = []
    chosen: Sequence[str]
    if options.ood_domains is not None:
        chosen = [_known(name, names) for name in options.ood_domains]
    elif len(names) < 2:
        return {}, []
    else:
        chosen = [min(zip(sizes.tolist(), names, strict=True))[1]]
        warnings.append(
            {
                "code": "domain_held_out",
                "message": f"The domain {chosen[0]!r}, which has the fewest rows, is held out as "
                f"{split_of_domain(chosen[0])}. Choose others with ood_domains=a,b, or none with "
                "ood_domains=none.",
            }
        )
    rows = {
        split_of_domain(name): np.flatnonzero(domain.codes == names.index(name)) for name in chosen
    }
    if sum(map(len, rows.values())) == n_rows:
        raise BadInput(
            "no_train_rows",
            "All domains are held out: leave at least one to train on.",
            field="ood_domains",
        )
    return rows, warnings


def _known(wanted: str, names: Sequence[str]) -> str:
    """The domain of this name, or the one that looks the same; raises BadInput."""
    if wanted in names:
        return wanted
    alike = [name for name in names if similar((wanted, name))]
    if len(alike) == 1:
        return alike[0]
    raise BadInput(
        "unknown_domain",
        f"No row has the domain {wanted[:80]!r}. The domains are "
        f"{', '.join(repr(known[:40]) for known in names[:_SHOWN])}.",
        field="ood_domains",
    )


def _made(
    rows: NDArray[np.intp], y: NDArray[np.int64], group: NamedColumn | None, options: SplitOptions
) -> tuple[RowsBySplit, list[DatasetWarning]]:
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
                "All rows have the same group: to hold one out, at least two groups are needed.",
                field=group.field,
            ) from error
    if not len(held_out):
        return {"train": rows}, []
    warning: DatasetWarning = {
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

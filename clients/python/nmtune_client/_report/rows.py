"""The result table of a report: a row for each split that was held out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nmtune_client._names import OOD_PREFIX, split_title
from nmtune_client._report.parts import Candidate, Spectra, Spectrum

_NOT_TESTED_ON = frozenset({"train", "validation"})


@dataclass(frozen=True, kw_only=True)
class ReportRow:
    """One line of the result table.

    `kind` is `id`, `ood` or `ood_mean` (the unweighted mean over the OOD splits). `accuracy` and
    `macro_f1` hold a value (0..1) for each candidate. The spectrum's figures are of the raw
    embeddings (before) and of those tuned by the published head (after); None where not computed.
    """

    split: str
    kind: str
    n_rows: int | None
    accuracy: Mapping[str, float]
    macro_f1: Mapping[str, float]
    sve_before: float | None = None
    sve_after: float | None = None
    lsvr_before: float | None = None
    lsvr_after: float | None = None

    @property
    def title(self) -> str:
        """The row's name for people: `ID test`, `OOD sketch`, `mean OOD`."""
        if self.kind == "ood_mean":
            return "mean OOD"
        return split_title(self.split)


def rows_of(candidates: Mapping[str, Candidate], spectra: Spectra) -> tuple[ReportRow, ...]:
    """In domain first, then each OOD split, then the mean over these."""
    splits = dict.fromkeys(split for one in candidates.values() for split in one.metrics)
    in_domain = [name for name in splits if not name.startswith(OOD_PREFIX)]
    ood = [
        _row(name, "ood", candidates, spectra)
        for name in sorted(splits)
        if name.startswith(OOD_PREFIX)
    ]
    rows = [
        _row(name, "id", candidates, spectra) for name in in_domain if name not in _NOT_TESTED_ON
    ]
    rows += ood
    if ood:
        rows.append(_mean(ood, list(candidates)))
    return tuple(rows)


def _row(split: str, kind: str, candidates: Mapping[str, Candidate], spectra: Spectra) -> ReportRow:
    of_split = {
        name: one.metrics[split] for name, one in candidates.items() if split in one.metrics
    }
    before = spectra.untuned.get(split, Spectrum())
    after = spectra.tuned.get(split, Spectrum())
    return ReportRow(
        split=split,
        kind=kind,
        n_rows=next((one.n_rows for one in of_split.values()), None),
        accuracy={n: one.accuracy for n, one in of_split.items() if one.accuracy is not None},
        macro_f1={n: one.macro_f1 for n, one in of_split.items() if one.macro_f1 is not None},
        sve_before=before.entropy,
        sve_after=after.entropy,
        lsvr_before=before.largest_ratio,
        lsvr_after=after.largest_ratio,
    )


def _mean(rows: Sequence[ReportRow], candidates: Sequence[str]) -> ReportRow:
    def over(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
        # only where each split has a value: a mean over other splits would not compare
        return {
            name: sum(value[name] for value in values) / len(values)
            for name in candidates
            if all(name in value for value in values)
        }

    return ReportRow(
        split="ood",
        kind="ood_mean",
        n_rows=None,
        accuracy=over([row.accuracy for row in rows]),
        macro_f1=over([row.macro_f1 for row in rows]),
    )

"""The report: a light wrapper of the server's JSON, whatever version wrote it."""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Self

from nmtune_client._http.download import check_place
from nmtune_client._names import OOD_PREFIX, TITLES, split_title
from nmtune_client._report import brief as _report_brief
from nmtune_client._report import text as _report_text
from nmtune_client._report.suspects import Suspect, write_csv
from nmtune_client._show.reprs import Table, short

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


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The server's reading of the numbers; `str()` gives summary and sentences as one text.

    recommended: the candidate to use, None where the choice is the reader's. advises_against:
    whether that is another head than the published one. rival: the best of the other candidates.
    Of reports that an older server wrote, all three are None.
    """

    summary: str = ""
    sentences: tuple[str, ...] = ()
    recommended: str | None = None
    advises_against: bool | None = None
    rival: str | None = None
    best_id: str | None = None
    best_ood: str | None = None

    def __str__(self) -> str:
        return " ".join(part for part in (self.summary, *self.sentences) if part)


@dataclass(frozen=True, kw_only=True, repr=False)
class Report(Table):
    """What a finished job found; `raw` is all of it, `str()` the verdict and the table."""

    raw: Mapping[str, Any]

    @classmethod
    def from_json(cls, data: object) -> Self:
        if not isinstance(data, Mapping) or not isinstance(data.get("candidates"), Mapping):
            raise ValueError("the report has no candidates")
        return cls(raw=data)

    def __repr__(self) -> str:
        summary = short(str(self.verdict))
        return f"Report(job_id={self.job_id!r}, method={self.method!r}, verdict={summary})"

    @property
    def job_id(self) -> str:
        """The job it belongs to."""
        return str(self.raw.get("job_id", ""))

    @property
    def name(self) -> str:
        """The name of the job and of its head."""
        return str(self.raw.get("name", ""))

    @property
    def method(self) -> str:
        """The candidate that was published as a head."""
        return str(self.raw.get("method", ""))

    @property
    def candidates(self) -> tuple[str, ...]:
        """What was trained side by side, from the simplest to auto; then those unknown here."""
        present = self.raw["candidates"]
        known = [name for name in TITLES if name in present]
        return (*known, *(name for name in present if name not in TITLES))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the server would have the reader know about the data."""
        return tuple(text for _, text in self.coded_warnings)

    @property
    def coded_warnings(self) -> tuple[tuple[str | None, str], ...]:
        """The warnings with their codes, None where one has none."""
        return tuple(
            (warning.get("code") if isinstance(warning, Mapping) else None, _sentence(warning))
            for warning in self.raw.get("warnings") or ()
        )

    @property
    def alias(self) -> Mapping[str, Any] | None:
        """What became of the job's alias: `moved`, `version`, `reason`, `command`; or None."""
        return self.raw.get("alias")

    @property
    def abstention(self) -> Mapping[str, Any] | None:
        """The `threshold` advised for abstain_below, and by split what it does; or None."""
        return self.raw.get("abstention")

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """The training rows whose label is suspected, the worst first; at most 1,000 of them."""
        found = (self.findings.get("label_errors") or {}).get("suspected") or ()
        return tuple(Suspect.from_json(one) for one in found)

    def suspects_csv(self, path: str | PathLike[str]) -> Path:
        """Write the suspects to a UTF-8 CSV file: file_row, id, text, given, suggested, score."""
        to = Path(path)
        check_place(to)
        with to.open("w", encoding="utf-8", newline="") as file:
            write_csv(self.suspects, file)
        return to

    @property
    def verdict(self) -> Verdict:
        """The server's verdict."""
        data = self.raw.get("verdict") or {}
        return Verdict(
            summary=data.get("summary") or "",
            sentences=tuple(data.get("sentences") or ()),
            recommended=data.get("recommended"),
            advises_against=data.get("advises_against"),
            rival=data.get("rival"),
            best_id=data.get("best_id"),
            best_ood=data.get("best_ood"),
        )

    def metrics(self, candidate: str, split: str) -> Mapping[str, Any]:
        """All metrics of one candidate on one split; KeyError if there are none."""
        metrics: Mapping[str, Any] = self.raw["candidates"][candidate]["metrics"][split]
        return metrics

    def per_class(self, candidate: str, split: str) -> tuple[Mapping[str, Any], ...]:
        """Each class in order: `name`, `support` (true rows), `precision`, `recall`, `f1`."""
        return tuple(self.metrics(candidate, split).get("per_class") or ())

    def confusions(self, candidate: str, split: str) -> tuple[Mapping[str, Any], ...]:
        """The most frequent mistakes: `true` and `predicted` class, `n_rows`; none in old reports.

        All pairs are in the (c, c) `confusion_matrix` of `metrics`, which is None for many classes.
        """
        return tuple(self.metrics(candidate, split).get("confusions") or ())

    @property
    def comparison(self) -> tuple[Mapping[str, Any], ...]:
        """One entry a pair and split: `accuracy_difference`, `interval`, `p_value`, `finding`."""
        return tuple(self.raw.get("comparison") or ())

    @property
    def choice(self) -> Mapping[str, Any] | None:
        """What method auto chose, with the `reason`; None for other methods."""
        return self.raw.get("choice")

    @property
    def calibration(self) -> Mapping[str, Any] | None:
        """The published head's temperature and, by split, its ECE before and after; or None."""
        return self.raw.get("calibration")

    @property
    def findings(self) -> Mapping[str, Any]:
        """What else was found about the data, by name."""
        return self.raw.get("findings") or {}

    def table(self) -> tuple[ReportRow, ...]:
        """One row a split (ID first, then each OOD), then the mean over the OOD splits."""
        splits: dict[str, None] = {}
        for candidate in self.candidates:
            splits |= dict.fromkeys(self.raw["candidates"][candidate].get("metrics") or {})
        in_domain = [name for name in splits if not name.startswith(OOD_PREFIX)]
        ood = [self._row(name, "ood") for name in sorted(splits) if name.startswith(OOD_PREFIX)]
        rows = [self._row(name, "id") for name in in_domain if name not in _NOT_TESTED_ON]
        rows += ood
        if ood:
            rows.append(_mean(ood, self.candidates))
        return tuple(rows)

    def _row(self, split: str, kind: str) -> ReportRow:
        of_split = {
            candidate: metrics[split]
            for candidate in self.candidates
            if split in (metrics := self.raw["candidates"][candidate].get("metrics") or {})
        }
        spectra = self.raw.get("spectra") or {}
        before = (spectra.get("raw") or {}).get(split) or {}
        after = (spectra.get("tuned") or {}).get(split) or {}
        return ReportRow(
            split=split,
            kind=kind,
            n_rows=next((metrics.get("n_rows") for metrics in of_split.values()), None),
            accuracy={name: metrics["accuracy"] for name, metrics in of_split.items()},
            macro_f1={name: metrics["macro_f1"] for name, metrics in of_split.items()},
            sve_before=before.get("entropy"),
            sve_after=after.get("entropy"),
            lsvr_before=before.get("largest_ratio"),
            lsvr_after=after.get("largest_ratio"),
        )

    def __str__(self) -> str:
        return self.text()

    def text(self, *, full: bool = False, with_warnings: bool = True) -> str:
        """Plain text of at most 100 characters a line.

        The verdict, a table, what to do next and the warnings that ask for something, in 25 lines;
        with `full` all else too: every figure, the spectra, calibration, findings and sentences.
        """
        if full:
            return _report_text.report(self, with_warnings=with_warnings)
        return _report_brief.report(self, with_warnings=with_warnings)

    def per_class_text(self, candidate: str, split: str) -> str:
        """The per-class figures of one candidate on one split as a plain text table."""
        return _report_text.per_class(self, candidate, split)


def _mean(rows: list[ReportRow], candidates: tuple[str, ...]) -> ReportRow:
    def over(values: list[Mapping[str, float]]) -> dict[str, float]:
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


def _sentence(warning: object) -> str:
    if isinstance(warning, Mapping):
        return str(warning.get("message") or warning.get("code") or dict(warning))
    return str(warning)

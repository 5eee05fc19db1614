"""Home of the report: a light wrapper of the server's JSON, and its result table in plain text."""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from nmtune_client import _text

# Candidates as people read them; one that a newer server adds appears under its own name.
_TITLES = {"linear_probe": "linear probe", "mlp": "MLP", "nmtune": "NMTune"}
_NOT_TESTED_ON = frozenset({"train", "validation"})
_SPLIT_WIDTH = 30
_TIED = re.compile(r"(?<=\d) (%|± ?)")


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
        if self.kind == "ood":
            return f"OOD {self.split.removeprefix('ood/')}"
        return f"ID {self.split}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The server's reading of the numbers; `str()` gives summary and sentences as one text."""

    summary: str = ""
    sentences: tuple[str, ...] = ()
    best_id: str | None = None
    best_ood: str | None = None

    def __str__(self) -> str:
        return " ".join(part for part in (self.summary, *self.sentences) if part)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a finished job found; `raw` is all of it, `str()` the table and the verdict."""

    raw: Mapping[str, Any]

    @classmethod
    def from_json(cls, data: object) -> Self:
        if not isinstance(data, Mapping) or not isinstance(data.get("candidates"), Mapping):
            raise ValueError("the report has no candidates")
        return cls(raw=data)

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
        """What was trained side by side: the baselines first, then what a newer server adds."""
        present = self.raw["candidates"]
        known = [name for name in _TITLES if name in present]
        return (*known, *(name for name in present if name not in _TITLES))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the server would have the reader know about the data."""
        return tuple(_sentence(warning) for warning in self.raw.get("warnings") or ())

    @property
    def verdict(self) -> Verdict:
        """The server's verdict."""
        data = self.raw.get("verdict") or {}
        return Verdict(
            summary=data.get("summary") or "",
            sentences=tuple(data.get("sentences") or ()),
            best_id=data.get("best_id"),
            best_ood=data.get("best_ood"),
        )

    def metrics(self, candidate: str, split: str) -> Mapping[str, Any]:
        """All metrics of one candidate on one split; KeyError if there are none."""
        metrics: Mapping[str, Any] = self.raw["candidates"][candidate]["metrics"][split]
        return metrics

    def table(self) -> tuple[ReportRow, ...]:
        """One row a split (ID first, then each OOD), then the mean over the OOD splits."""
        splits: dict[str, None] = {}
        for candidate in self.candidates:
            splits |= dict.fromkeys(self.raw["candidates"][candidate].get("metrics") or {})
        in_domain = [name for name in splits if not name.startswith("ood/")]
        ood = [self._row(name, "ood") for name in sorted(splits) if name.startswith("ood/")]
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

    def text(self, *, with_warnings: bool = True) -> str:
        """The table, the spectra and the verdict as plain text, at most 100 characters wide."""
        rows = self.table()
        parts = [self._heading(), self._scores(rows), _spectra(rows)]
        parts += [_wrap(self.verdict.summary), "\n".join(map(_item, self.verdict.sentences))]
        if with_warnings:
            parts += [_wrap(f"Warning: {warning}") for warning in self.warnings]
        return "\n\n".join(part for part in parts if part)

    def _heading(self) -> str:
        dataset = self.raw.get("dataset") or {}
        facts = [f"method {self.method}"]
        if dataset:
            facts.append(f"dataset {dataset.get('name')}")
            facts.append(f"{len(dataset.get('classes') or ())} classes")
            facts.append(f"{dataset.get('n_columns')} columns")
        return _wrap(f"{self.name} ({self.job_id}): {', '.join(facts)}")

    def _scores(self, rows: tuple[ReportRow, ...]) -> str:
        titles = [_TITLES.get(name, name) for name in self.candidates]
        header = ["accuracy %  (macro-F1 %)", "rows", *titles]
        lines = [header]
        for row in rows:
            # with nothing beside it, to be the best says nothing
            best = max(row.accuracy.values()) if len(row.accuracy) > 1 else None
            scores = [
                _score(row.accuracy.get(name), row.macro_f1.get(name), best)
                for name in self.candidates
            ]
            n_rows = "" if row.n_rows is None else str(row.n_rows)
            lines.append([_text.shorten(row.title, _SPLIT_WIDTH), n_rows, *scores])
        table = _text.columns(lines, right=range(1, len(header)))
        return f"{table}\n* best accuracy of the row" if len(titles) > 1 else table


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


def _score(accuracy: float | None, macro_f1: float | None, best: float | None) -> str:
    if accuracy is None or macro_f1 is None:
        return "- "
    star = "*" if accuracy == best else " "
    return f"{100 * accuracy:.2f}{star} ({100 * macro_f1:.2f})"


def _spectra(rows: tuple[ReportRow, ...]) -> str:
    lines = [["spectrum, raw -> tuned", "SVE", "", "LSVR", ""]]
    for row in rows:
        sve = _change(row.sve_before, row.sve_after)
        lsvr = _change(row.lsvr_before, row.lsvr_after)
        if sve and lsvr:
            lines.append([_text.shorten(row.title, _SPLIT_WIDTH), *sve, *lsvr])
    return _text.columns(lines, right=(1, 2, 3, 4)) if len(lines) > 1 else ""


def _change(before: float | None, after: float | None) -> list[str] | None:
    if before is None or after is None:
        return None
    return [f"{before:.3f} -> {after:.3f}", f"{after - before:+.3f}"]


def _sentence(warning: object) -> str:
    if isinstance(warning, Mapping):
        return str(warning.get("message") or warning.get("code") or dict(warning))
    return str(warning)


def _wrap(text: str, indent: str = "") -> str:
    wrapped = textwrap.fill(
        # what belongs to a number stays on its line
        _TIED.sub(lambda match: match[0].replace(" ", "\xa0"), text),
        _text.WIDTH,
        initial_indent=indent,
        subsequent_indent=" " * len(indent),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return wrapped.replace("\xa0", " ")


def _item(text: str) -> str:
    return _wrap(text, indent="- ")

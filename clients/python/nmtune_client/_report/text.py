"""The whole report as plain text: tables, and sentences wrapped to the width of a terminal."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from nmtune_client._names import split_title, title
from nmtune_client._report.data import ReportData
from nmtune_client._report.encoder_table import dropped_out, encoder_table
from nmtune_client._report.parts import Abstention, AliasOutcome, Choice
from nmtune_client._report.rows import ReportRow
from nmtune_client._show import plain

# With more candidates than this the main table shows the published head and these baselines.
_MOST_COLUMNS = 4
_BASELINES = ("linear_probe", "mlp", "nmtune")
_N_CONFUSIONS = 3
_NAME_WIDTH = 24
_TIED = re.compile(r"(?<=\d) (%|± ?|rows?\b|points\b)|(?<=\bp) (?=[<=])|(?<=p [<=]) (?=\d)")


def report(of: ReportData, *, with_warnings: bool) -> str:
    """All of it, at most 100 characters wide; what a report does not hold is left out."""
    rows = of.table()
    alias = of.alias or AliasOutcome()
    parts = [
        heading(of),
        wrap(of.verdict.summary),
        wrap(alias.reason),
        wrap(alias.command or "", indent="  "),
        *encoders(of),
        _scores(of, rows),
        _all_candidates(of, rows),
        _spectra(rows),
        _correlation(of),
        _calibration(of),
        wrap((of.abstention or Abstention()).sentence),
        _most_confused(of, rows),
        *_findings(of),
        _chosen(of),
        "\n".join(map(_item, of.verdict.sentences)),
    ]
    if with_warnings:
        parts += [wrap(f"Warning: {warning}") for warning in of.warnings]
    return "\n\n".join(part for part in parts if part)


def per_class(of: ReportData, candidate: str, split: str) -> str:
    """One line a class: its true rows, precision, recall and F1 in percent."""
    lines = [
        [f"{title(candidate)} on {split_title(split)}, %", "rows", "precision", "recall", "F1"]
    ]
    for one in of.per_class(candidate, split):
        shares = [f"{100 * one[name]:.1f}" for name in ("precision", "recall", "f1")]
        lines.append([plain.shorten(one["name"], 40), str(one["support"]), *shares])
    return plain.columns(lines, right=range(1, 5))


def heading(of: ReportData) -> str:
    dataset = of.raw.get("dataset") or {}
    facts = [f"method {of.method}"]
    if dataset:
        facts.append(f"dataset {dataset.get('name')}")
        facts.append(f"{len(dataset.get('classes') or ())} classes")
        facts.append(f"{dataset.get('n_columns')} columns")
    return wrap(f"{of.name} ({of.job_id}): {', '.join(facts)}")


def _scores(of: ReportData, rows: Sequence[ReportRow]) -> str:
    if not rows:
        return ""
    shown = of.candidates
    if len(shown) > _MOST_COLUMNS:
        shown = tuple(name for name in shown if name in (*_BASELINES, of.method))
    lines = [["accuracy % (macro-F1 %)", "rows", *map(title, shown)]]
    for row in rows:
        # with nothing beside it, to be the best says nothing
        compared = [row.accuracy[name] for name in shown if name in row.accuracy]
        best = max(compared) if len(compared) > 1 else None
        scores = [_score(row.accuracy.get(name), row.macro_f1.get(name), best) for name in shown]
        n_rows = "" if row.n_rows is None else str(row.n_rows)
        lines.append([plain.shorten(row.title, _NAME_WIDTH), n_rows, *scores])
    table = plain.columns(lines, right=range(1, len(lines[0])))
    return f"{table}\n* best accuracy of the row" if len(shown) > 1 else table


def _all_candidates(of: ReportData, rows: Sequence[ReportRow]) -> str:
    """The accuracy of each candidate, where the main table has no room for all of them."""
    if len(of.candidates) <= _MOST_COLUMNS or not rows:
        return ""
    table = _accuracies(of, rows)
    if max(map(len, table.splitlines())) > plain.WIDTH:
        table = _accuracies(of, [row for row in rows if row.kind != "ood"])
    return f"{table}\n* best accuracy of the column"


def _accuracies(of: ReportData, rows: Sequence[ReportRow]) -> str:
    return accuracies(of.candidates, rows, first="all candidates, %")


def accuracies(
    candidates: Sequence[str],
    rows: Sequence[ReportRow],
    *,
    first: str = "accuracy, %",
    published: str | None = None,
) -> str:
    """One line a candidate, one column a row of the result table; `published` is pointed at."""
    lines = [[first, *(plain.shorten(row.title, _NAME_WIDTH) for row in rows)]]
    for name in candidates:
        cells = [
            _share(row.accuracy.get(name), max(row.accuracy.values(), default=None)) for row in rows
        ]
        mark = "" if published is None else "> " if name == published else "  "
        lines.append([f"{mark}{plain.shorten(title(name), _NAME_WIDTH)}", *cells])
    return plain.columns(lines, right=range(1, len(rows) + 1))


def _share(accuracy: float | None, best: float | None) -> str:
    if accuracy is None:
        return "- "
    return f"{100 * accuracy:.1f}{'*' if accuracy == best else ' '}"


def _score(accuracy: float | None, macro_f1: float | None, best: float | None) -> str:
    if accuracy is None or macro_f1 is None:
        return "- "
    return f"{_share(accuracy, best)} ({100 * macro_f1:.1f})"


def _spectra(rows: Sequence[ReportRow]) -> str:
    lines = [["spectrum, raw -> tuned", "SVE", "", "LSVR", ""]]
    for row in rows:
        sve = _change(row.sve_before, row.sve_after)
        lsvr = _change(row.lsvr_before, row.lsvr_after)
        if sve and lsvr:
            lines.append([plain.shorten(row.title, _NAME_WIDTH), *sve, *lsvr])
    return plain.columns(lines, right=(1, 2, 3, 4)) if len(lines) > 1 else ""


def _change(before: float | None, after: float | None) -> list[str] | None:
    if before is None or after is None:
        return None
    return [f"{before:.3f} -> {after:.3f}", f"{after - before:+.3f}"]


def _correlation(of: ReportData) -> str:
    """How SVE and LSVR rank the candidates beside accuracy; nothing where they cannot."""
    told = (of.raw.get("spectra") or {}).get("correlation") or {}
    lines = [["rank correlation with accuracy", "candidates", "SVE", "LSVR"]]
    for split, one in (told.get("splits") or {}).items():
        if one.get("entropy") or one.get("largest_ratio"):
            rhos = [_rho(one.get("entropy")), _rho(one.get("largest_ratio"))]
            name = plain.shorten(split_title(split), _NAME_WIDTH)
            lines.append([name, str(one.get("n_candidates", "")), *rhos])
    if len(lines) == 1:
        return ""
    return f"{plain.columns(lines, right=(1, 2, 3))}\n{wrap(str(told.get('sentence', '')))}"


def _rho(one: Mapping[str, Any] | None) -> str:
    return f"{one['rho']:+.2f}" if one else "-"


def _calibration(of: ReportData) -> str:
    told = of.calibration
    if not told or not told.get("splits"):
        return ""
    errors = [
        f"{split_title(split)} {100 * one['ece_before']:.1f} -> {100 * one['ece_after']:.1f}"
        for split, one in told["splits"].items()
        if split != "train"  # rows the head was fitted to: its confidence there says nothing
    ]
    whose = title(str(told.get("candidate")))
    return wrap(
        f"Calibration error (ECE, %) of {whose}, before -> after its temperature "
        f"{told['temperature']:.2f}: {', '.join(errors)}."
    )


def _most_confused(of: ReportData, rows: Sequence[ReportRow]) -> str:
    if not rows or of.method not in rows[0].accuracy:
        return ""
    pairs = [
        f"{one['true']} -> {one['predicted']} ({_counted(one['n_rows'])})"
        for one in of.confusions(of.method, rows[0].split)[:_N_CONFUSIONS]
    ]
    if not pairs:
        return ""
    return wrap(
        f"Most frequent confusions of {title(of.method)} on {rows[0].title} (true -> predicted): "
        f"{', '.join(pairs)}."
    )


def _counted(n_rows: int) -> str:
    return f"{n_rows} row" if n_rows == 1 else f"{n_rows} rows"


def _findings(of: ReportData) -> list[str]:
    """The sentences of those findings that have one."""
    return [
        wrap(str(one["sentence"]))
        for one in of.findings.values()
        if isinstance(one, Mapping) and one.get("sentence")
    ]


def encoders(of: ReportData) -> list[str]:
    """Which encoder was chosen and why, and a table of those compared; nothing where none were."""
    found = of.encoders
    if found is None:
        return []
    legend = "> chosen, = ties with the best"
    return [
        wrap(f"Encoders: {found.reason}"),
        f"{encoder_table(found)}\n{legend}",
        *map(wrap, dropped_out(found)),
    ]


def _chosen(of: ReportData) -> str:
    """The reason of auto's choice, unless the verdict gives it."""
    reason = (of.choice or Choice()).reason
    return "" if reason in of.verdict.sentences else wrap(reason)


def wrap(text: str, indent: str = "") -> str:
    wrapped = textwrap.fill(
        # what belongs to a number stays on its line
        _TIED.sub(lambda match: match[0].replace(" ", "\xa0"), text),
        plain.WIDTH,
        initial_indent=indent,
        subsequent_indent=" " * len(indent),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return wrapped.replace("\xa0", " ")


def _item(text: str) -> str:
    return wrap(text, indent="- ")

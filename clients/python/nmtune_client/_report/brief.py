"""The report as it is printed: the verdict, the table, what to do next; 25 lines and no more."""

from collections.abc import Mapping, Sequence
from typing import Any

from nmtune_client._names import ID_SPLIT, OOD_PREFIX
from nmtune_client._report.data import ReportData
from nmtune_client._report.encoder_table import encoder_table
from nmtune_client._report.rows import ReportRow
from nmtune_client._report.text import accuracies, heading, wrap
from nmtune_client._show import plain

MOST_LINES = 25
_MOST_CANDIDATES = 6
_MOST_VERDICT_LINES = 5
_ABLATION = "nmtune_without_"

_FOR_INFORMATION = frozenset(
    {"split_made", "domain_held_out", "columns_ignored", "ids_left_out", "texts_maybe_truncated"}
)
"""Warnings that tell what was done, and ask for nothing; `--full` shows them too."""


def report(of: ReportData, *, with_warnings: bool) -> str:
    """At most 25 lines, at most 100 characters wide."""
    more = wrap(f"The rest: nmtune report {of.job_id} --full") if of.job_id else ""
    parts = [heading(of), _verdict(of), *_encoders(of), _table(of), more]
    left = MOST_LINES - sum(len(part.splitlines()) + 1 for part in parts if part)
    needed = _needed_warnings(of) if with_warnings else []
    left -= 2 if needed else 0  # a blank line and one that says at least how many there are
    steps: list[str] = []
    for step in _next(of):
        lines = wrap(step, indent="- ").splitlines()
        if len(lines) <= left:
            steps, left = steps + lines, left - len(lines)
    parts[-1:-1] = ["\n".join(steps), _warnings(needed, most_lines=left + 1 + (not steps))]
    return "\n\n".join(part for part in parts if part)


def _verdict(of: ReportData) -> str:
    lines = wrap(of.verdict.summary).splitlines()
    if len(lines) > _MOST_VERDICT_LINES:
        lines = [*lines[: _MOST_VERDICT_LINES - 1], f"{lines[_MOST_VERDICT_LINES - 1][:96]} ..."]
    alias = of.alias
    if alias is not None:
        lines += wrap(alias.reason).splitlines()[:2]
    return "\n".join(lines)


def _encoders(of: ReportData) -> list[str]:
    """The table of the compared encoders; the full text has the reason of the choice."""
    return [] if of.encoders is None else [encoder_table(of.encoders)]


def _table(of: ReportData) -> str:
    rows = of.table()
    if not rows:  # no split was held out
        return ""
    shown = [name for name in of.candidates if not name.startswith(_ABLATION)]
    if len(shown) > _MOST_CANDIDATES:
        first = {of.method, "linear_probe", "mlp", "nmtune", of.verdict.rival}
        others = [name for name in shown if name not in first]
        kept = first | set(others[: _MOST_CANDIDATES - len(first & set(shown))])
        shown = [name for name in shown if name in kept]
    table = accuracies(shown, rows, published=of.method)
    if max(map(len, table.splitlines())) > plain.WIDTH:
        table = accuracies(shown, _decisive(rows), published=of.method)
    return f"{table}\n* best of the column, > published" if len(shown) > 1 else table


def _decisive(rows: Sequence[ReportRow]) -> list[ReportRow]:
    return [row for row in rows if not row.split.startswith(OOD_PREFIX)]


def _next(of: ReportData) -> list[str]:
    """What the reader may do now, one sentence each, at most two lines."""
    steps = []
    if of.verdict.to_publish and of.job_id:
        command = f"nmtune publish {of.job_id} {of.verdict.to_publish}"
        steps.append(f"To publish {of.verdict.to_publish} too, without training: {_whole(command)}")
    if of.alias is not None and of.alias.command:
        steps.append(f"To move the alias all the same: {_whole(of.alias.command)}")
    steps += filter(None, (_abstaining(of), _labels(of)))
    return steps


def _abstaining(of: ReportData) -> str:
    advice = of.abstention
    test = advice.splits.get(ID_SPLIT) if advice is not None else None
    if advice is None or advice.threshold is None or test is None or test.accuracy is None:
        return ""
    low, high = test.accuracy_interval
    return (
        f"Above {advice.threshold:g} (abstain_below) it answers {_share(test.coverage or 0.0)} of "
        f"the test rows and is right in {_share(test.accuracy)} of them ({_share(low)} to "
        f"{_share(high)})."
    )


def _labels(of: ReportData) -> str:
    found: Mapping[str, Any] = of.findings.get("label_errors") or {}
    n_suspected, n_rows = found.get("n_suspected"), found.get("n_rows")
    if not n_suspected or not n_rows:
        return ""
    expected = found.get("expected_wrong")
    wrong = ""
    if expected:
        wrong = f" (about {expected['low']:,.0f} to {expected['high']:,.0f} wrong labels expected)"
    kind = "doubtful" if found.get("labels_look_noisy", expected is None) else "hard"
    return f"{n_suspected:,} of {n_rows:,} training rows are {kind}{wrong}: " + _whole(
        f"nmtune report {of.job_id} --suspects FILE.csv"
    )


def _needed_warnings(of: ReportData) -> list[str]:
    return [text for code, text in of.coded_warnings if code not in _FOR_INFORMATION]


def _warnings(needed: Sequence[str], *, most_lines: int) -> str:
    lines: list[str] = []
    for at, text in enumerate(needed):
        wrapped = wrap(f"Warning: {text}").splitlines()
        rest = len(needed) - at
        if len(lines) + len(wrapped) + (rest > 1) > most_lines:
            if most_lines > len(lines):
                lines.append(f"Warnings: {rest:,} more.")
            break
        lines += wrapped
    return "\n".join(lines)


def _whole(command: str) -> str:
    """On one line, to be copied."""
    return command.replace(" ", "\xa0")


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"

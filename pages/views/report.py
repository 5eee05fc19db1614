"""The report: as a page, as one file, and each figure as SVG or CSV."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from pages import assets, words
from pages.figure import Draw, Figure, Panel, csv_of
from pages.figures import (
    ablation,
    class_spectra,
    confusion,
    correlation,
    coverage,
    encoders,
    forest,
    history,
    label_errors,
    learning_curve,
    near_duplicates,
    new_domain,
    per_class,
    provenance,
    reliability,
    scores,
    spectrum,
    trust,
    verdict,
)
from pages.reading import ROWS_AT, Absent, Report, candidates, classes, of_head, published, title
from pages.views.shell import Place, one_file, page_parts

FIGURES: Final[Mapping[str, tuple[str, Draw]]] = {
    "verdict": ("Verdict", verdict.draw),
    "scores": ("Candidates and splits", scores.draw),
    "comparison": ("Comparison", forest.draw),
    "encoders": ("Encoders compared", encoders.draw),
    "spectrum": ("Spectrum before and after", spectrum.draw),
    "correlation": ("SVE, LSVR and accuracy", correlation.draw),
    "class-spectra": ("Class spectra", class_spectra.draw),
    "per-class": ("Each class", per_class.draw),
    "confusion": ("Confusion", confusion.draw),
    "reliability": ("Reliability", reliability.draw),
    "coverage": ("Accuracy against coverage", coverage.draw),
    "trust": ("When to trust it", trust.draw),
    "new-domain": ("A few labels of a new domain", new_domain.draw),
    "label-errors": ("Label errors", label_errors.draw),
    "near-duplicates": ("Near duplicates", near_duplicates.draw),
    "learning-curve": ("Learning curve", learning_curve.draw),
    "ablation": ("Ablation", ablation.draw),
    "history": ("Loss history", history.draw),
    "provenance": ("Provenance", provenance.draw),
}
"""Every figure in reading order: its key, which links name, its title, and who draws it."""

OF_ONE_CANDIDATE: Final = ("per-class", "confusion", "reliability", "coverage")
"""The figures that are about the candidate looked at."""

_UNLIKE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What drawing raises where a report is not built as this version knows reports."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One figure of a report, or why there is none."""

    key: str
    title: str
    figure: Figure | None = None
    absent: str = ""
    is_broken: bool = False

    @property
    def splits(self) -> list[str]:
        """The splits that it has a panel each of."""
        if self.figure is None or self.key == "history":  # whose panels are candidates
            return []
        return [panel.key for panel in self.figure.panels if panel.key]

    @property
    def is_by_split(self) -> bool:
        """Whether a page shows one of its panels at a time."""
        return bool(self.splits)

    def picture_link(
        self, panel: Panel, *, is_file: bool, candidate: str
    ) -> tuple[str, str] | None:
        """The address of a panel's SVG, and what the file is called; None without a picture.

        In a file, a script makes it out of the drawing that is shown; only what is shown in
        another form is carried.
        """
        if self.figure is None or not panel.has_picture or (is_file and panel.draw_svg is None):
            return None
        name = f"{self.key}-{_at(self.figure, panel)}.svg"
        if is_file and panel.picture is not None:
            return _data("image/svg+xml", standalone(panel.picture)), name
        return f"report/figures/{name}{self._query(candidate)}", name

    def csv_link(self, *, is_file: bool, candidate: str) -> tuple[str, str] | None:
        """The address of the figure's CSV, and what the file is called; None without a table."""
        if self.figure is None or not any(panel.table for panel in self.figure.panels):
            return None
        name = f"{self.key}.csv"
        if is_file:
            return _data("text/csv", csv_of(self.figure)), name
        return f"report/figures/{name}{self._query(candidate)}", name

    def _query(self, candidate: str) -> str:
        return f"?candidate={candidate}" if self.key in OF_ONE_CANDIDATE else ""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A page in parts, to be taken once.

    broken: the keys of the figures that could not be drawn although the report has them; complete
    once the last part is taken.
    """

    parts: Iterator[str]
    broken: list[str]

    @property
    def html(self) -> str:
        """The whole page."""
        return "".join(self.parts)


class UnknownError(LookupError):
    """The report has no such candidate, figure or panel; its text says what there is."""


def chosen(report: Report, candidate: str | None) -> str:
    """The candidate to look at, by default the head's own; `UnknownError` if it is not there."""
    known = candidates(report)
    if candidate is None:
        return of_head(report) if of_head(report) in known or not known else known[0]
    if candidate not in known:
        raise UnknownError(f"The report has no such candidate. It has {words.listed(known)}.")
    return candidate


def draw(report: Report, key: str, candidate: str) -> Drawn:
    """One figure; what goes wrong stays within it."""
    name, drawer = FIGURES[key]
    try:
        return Drawn(key=key, title=name, figure=drawer(report, candidate))
    except Absent as absent:
        return Drawn(key=key, title=name, absent=str(absent))
    except _UNLIKE:
        return Drawn(key=key, title=name, is_broken=True)


def _with_drawings(drawn: list[Drawn], split: str | None, broken: list[str]) -> Iterator[Drawn]:
    """Each figure with what a page shows of it drawn: the panels of `split`, or all for None."""
    for one in drawn:
        shown = one
        try:
            for panel in one.figure.panels if one.figure else ():
                if split is None or not one.is_by_split or panel.key == split:
                    _ = panel.drawn, panel.readout  # they are kept
        except _UNLIKE:
            shown = Drawn(key=one.key, title=one.title, is_broken=True)
        if shown.is_broken:
            broken.append(one.key)
        yield shown


def report_page(
    report: Report, place: Place, *, candidate: str | None = None, split: str | None = None
) -> Rendered:
    """The page of a report. Raises `UnknownError` where there is no such candidate or split."""
    shown = chosen(report, candidate)
    report = {**report, ROWS_AT: "rows"}
    drawn = [draw(report, key, shown) for key in FIGURES]
    known = words.in_order(list({key: 0 for one in drawn for key in one.splits}))
    if split is None:
        split = known[0] if known else ""
    elif split not in known:
        raise UnknownError(f"The report has no such split. It has {words.listed(known)}.")
    broken: list[str] = []
    values = _values(report, drawn, candidate=shown, split=split, is_file=False)
    values["sections"] = _with_drawings(drawn, split, broken)
    parts = page_parts("report.html.jinja", place, scripts=["readout.js"], section="jobs", **values)
    return Rendered(parts=parts, broken=broken)


def report_file(report: Report) -> Rendered:
    """The report as one file that needs nothing else, of the head's own candidate."""
    shown = chosen(report, None)
    drawn = [draw(report, key, shown) for key in FIGURES]
    broken: list[str] = []
    values = _values(report, drawn, candidate=shown, split="", is_file=True)
    values["sections"] = _with_drawings(drawn, None, broken)
    html = one_file("report.html.jinja", **values)
    return Rendered(parts=iter([html]), broken=broken)


def figure_csv(report: Report, key: str, candidate: str | None) -> str:
    """A figure's numbers. Raises `UnknownError`, or `Absent` where the report has none."""
    return csv_of(_figure(report, key, candidate))


def figure_svg(report: Report, key: str, number: int, candidate: str | None) -> str:
    """The picture of a figure's panel, counted from 1. Raises as `figure_csv`."""
    panels = _figure(report, key, candidate).panels
    picture = panels[number - 1].picture if 0 < number <= len(panels) else None
    if picture is None:
        drawn = [str(at) for at, panel in enumerate(panels, 1) if panel.has_picture]
        has = f"It has {words.listed(drawn)}." if drawn else "It is a table: take its CSV."
        raise UnknownError(f"The figure has no such picture. {has}")
    return standalone(picture)


def standalone(picture: Markup) -> str:
    """A drawing as a file of its own, with its style inside."""
    head, _, rest = str(picture).partition(">")
    style = f"<style>{assets.chart_style()}</style>"
    return f'{head} xmlns="http://www.w3.org/2000/svg">{style}{rest}'


def _figure(report: Report, key: str, candidate: str | None) -> Figure:
    if key not in FIGURES:
        raise UnknownError(f"There is no such figure. There are {words.listed(list(FIGURES))}.")
    drawn = draw(report, key, chosen(report, candidate))
    if drawn.figure is None:
        raise Absent(drawn.absent or "The report is not built as this version knows reports.")
    return drawn.figure


def _data(media_type: str, content: str) -> str:
    """An address that holds the file itself."""
    return f"data:{media_type};base64,{base64.b64encode(content.encode()).decode()}"


def _at(figure: Figure, panel: Panel) -> int:
    """The panel's number, from 1."""
    return next(at for at, one in enumerate(figure.panels, 1) if one is panel)


def _values(
    report: Report, drawn: list[Drawn], *, candidate: str, split: str, is_file: bool
) -> dict[str, Any]:
    names = classes(report)
    head_name, _, head_version = words.clean(report.get("head") or "").partition("@")
    dataset = report.get("dataset") or {}
    facts = [
        f"method {words.clean(published(report))}",
        f"dataset {words.clean(dataset['name'])}" if dataset.get("name") else "",
        f"{len(names):,} classes" if names else "",
        f"{dataset['n_columns']:,} columns" if dataset.get("n_columns") else "",
        f"trained {words.time(report['finished_at'])}" if report.get("finished_at") else "",
    ]
    return {
        "title": words.clean(report.get("head") or title(report)),
        "head_name": head_name,
        "head_version": head_version,
        "facts": [fact for fact in facts if fact],
        "note": _note(report),
        "badges": verdict.badges(report),
        "tiles": _tiles(report),
        "alias_command": (report.get("alias") or {}).get("command"),
        "warnings": [_warning(one) for one in report.get("warnings") or ()],
        "drawn": drawn,
        "pictures": {
            one.key: [
                one.picture_link(panel, is_file=is_file, candidate=candidate)
                for panel in (one.figure.panels if one.figure else ())
            ]
            for one in drawn
        },
        "files": {one.key: one.csv_link(is_file=is_file, candidate=candidate) for one in drawn},
        "candidates": candidates(report),
        "candidate": candidate,
        "of_one_candidate": OF_ONE_CANDIDATE,
        "split": split,
        "job_id": words.clean(report.get("job_id") or ""),
        "citation": provenance.citation(report),
    }


def _note(report: Report) -> str:
    """What a reader must know where the head is not the one that the job itself published."""
    mine, own = of_head(report), published(report)
    if mine == own:
        return ""
    return (
        f"This head is another candidate of the job: {words.the(mine)}. The job itself published "
        f"{words.the(own)}; the verdict, the spectra, when to trust it and the advice on "
        "abstain_below are about that one."
    )


def _warning(one: Any) -> str:
    return words.clean(one.get("message", "") if isinstance(one, Mapping) else one)


def _tiles(report: Report) -> list[tuple[str, str, str]]:
    """The figures that a reader wants first: a name, a number, what stands beside it."""
    try:
        return list(_figures_first(report))
    except _UNLIKE:
        return []


def _figures_first(report: Report) -> list[tuple[str, str, str]]:
    method = of_head(report)
    metrics: Mapping[str, Any] = report["candidates"][method]["metrics"]
    domains = [split for split in metrics if split.startswith(words.OOD_PREFIX)]
    tiles = []
    if "test" in metrics:
        tiles.append(
            (
                "ID accuracy",
                words.percent(metrics["test"]["accuracy"]),
                _against_probe(report, "id"),
            )
        )
    if domains:
        mean = sum(metrics[split]["accuracy"] for split in domains) / len(domains)
        over = f"mean of {len(domains)} domains" if len(domains) > 1 else words.split(domains[0])
        kind = "ood_mean" if len(domains) > 1 else "ood"
        against = _against_probe(report, kind)
        tiles.append(
            ("OOD accuracy", words.percent(mean), f"{over}; {against}" if against else over)
        )
    if "test" in metrics:
        loss = words.number(metrics["test"]["log_loss"])
        tiles.append(
            ("Calibration error", words.percent(metrics["test"]["ece"]), f"log loss {loss}")
        )
    if "train" in metrics:
        n_classes = len(classes(report))
        tiles.append(
            ("Training rows", words.count(metrics["train"]["n_rows"]), f"{n_classes:,} classes")
        )
    return tiles


def _against_probe(report: Report, kind: str) -> str:
    for one in report.get("comparison") or ():
        if (one.get("kind"), one.get("candidate"), one.get("baseline")) == (
            kind,
            of_head(report),
            "linear_probe",
        ):
            low, high = map(words.points, one["interval"])
            change = words.points(one["accuracy_difference"])
            return f"{change} points against the linear probe ({low} to {high})"
    return ""

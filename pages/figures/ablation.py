"""What each of NMTune's terms is worth: NMTune against itself without the term."""

from functools import partial

from pages import words
from pages.figure import Figure, Panel
from pages.figures.forest import link_of, plot, table
from pages.reading import Absent, Report


def draw(report: Report, _candidate: str) -> Figure:
    """Differences of accuracy with their intervals, a group for each term."""
    rows = [
        one
        for one in report.get("comparison") or ()
        if str(one.get("baseline", "")).startswith(words.ABLATION)
    ]
    if not rows:
        raise Absent(
            'Not asked for. A job with "analyses": ["ablation"] also trains NMTune without each of '
            "its terms, and shows here what the term is worth."
        )
    link = link_of(report)
    decisive = [one for one in rows if one.get("kind") != "ood"]
    told = []
    for one in decisive:
        term = str(one["baseline"]).removeprefix(words.ABLATION)
        where = "in domain" if one.get("kind") == "id" else "out of domain"
        how = "" if one.get("finding") in {"gain", "loss"} else ", not clearly"
        told.append(f"the {term} term {words.points(one['accuracy_difference'])} {where}{how}")
    return Figure(
        sentence=f"In points of accuracy: {'; '.join(told)}." if told else "",
        panels=[Panel(draw=partial(plot, rows, link), table=table(rows, link))],
        caption="NMTune against NMTune without the term: right of 0 the term helps. One seed: "
        "another seed can move a difference as well.",
    )

"""How the training went: the losses by epoch, a small plot for each term."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from pages import svg, words
from pages.figure import Column, Figure, Panel, Table
from pages.reading import Absent, Report, candidates
from pages.svg import Linear

_WIDTH, _HEIGHT, _GAP = 310, 150, 60
_TOP = 40
_TERMS = ("total", "cross_entropy", "consistency", "covariance", "dominant", "l2_penalty")
_POINTS = 40
_SHOWN = 10

Epochs = Sequence[Mapping[str, Any]]


def draw(report: Report, _candidate: str) -> Figure:
    """A panel for each candidate with a history; of a probe it is a search over its L2 strength."""
    panels = []
    for name in candidates(report):
        if name.startswith(words.ABLATION):
            continue
        epochs = ((report.get("candidates") or {}).get(name) or {}).get("history") or []
        if epochs:
            panels.append(_panel(name, epochs))
    panels.sort(key=lambda panel: _is_search(report["candidates"][panel.key]["history"]))
    if not panels:
        raise Absent("The report has no history of its candidates.")
    told = [_sentence(name, report) for name in candidates(report)]
    return Figure(
        sentence=" ".join(filter(None, told[:4])),
        panels=panels,
        caption="Training losses, and of the validation rows where there are some. A probe has no "
        "epochs: its points are the L2 strengths that were tried, in this order.",
    )


def _sentence(name: str, report: Report) -> str:
    epochs = report["candidates"][name].get("history") or []
    if not epochs or name.startswith(words.ABLATION) or _is_search(epochs):
        return ""
    first, last = (_losses(one).get("total") for one in (epochs[0], epochs[-1]))
    if not (words.is_number(first) and words.is_number(last)):
        return ""
    return (
        f"{words.capital(words.candidate(name))}: {len(epochs)} epochs, "
        f"loss {words.number(first)} → {words.number(last)}."  # type: ignore[arg-type]
    )


def _is_search(epochs: Epochs) -> bool:
    return any(one.get("l2") is not None for one in epochs)


def _losses(one: Mapping[str, Any]) -> dict[str, float]:
    """Every figure of an epoch by name, that of the validation rows too."""
    found = {str(name): value for name, value in (one.get("losses") or {}).items()}
    validation: Mapping[str, Any] = one.get("validation") or {}
    if validation.get("loss") is not None:
        found["validation loss"] = validation["loss"]
    if validation.get("accuracy") is not None:
        found["validation accuracy"] = validation["accuracy"]
    return found


def _panel(name: str, epochs: Epochs) -> Panel:
    found = [_losses(one) for one in epochs]
    names = list({term: 0 for one in found for term in one})
    names.sort(key=lambda term: _TERMS.index(term) if term in _TERMS else len(_TERMS))
    # A term that is switched off is 0 throughout, and the only term is the total again.
    shown = [term for term in names if any(one.get(term) for one in found)]
    if "cross_entropy" in shown and all(
        one.get("cross_entropy") == one.get("total") for one in found
    ):
        shown.remove("total")
    is_search = _is_search(epochs)
    first = [Column("tried" if is_search else "epoch", "count")]
    if is_search:
        first.append(Column("L2", "number"))
    return Panel(
        title=words.candidate(name),
        key=name,
        draw=partial(_plots, name, found, shown, is_search=is_search) if len(epochs) > 1 else None,
        table=Table(
            [*first, *(Column(term.replace("_", " "), "number") for term in names)],
            [
                [
                    one.get("epoch", number),
                    *([one.get("l2")] if is_search else []),
                    *(losses.get(term) for term in names),
                ]
                for number, (one, losses) in enumerate(zip(epochs, found, strict=True), 1)
            ],
            n_shown=_SHOWN,
        ),
    )


def _plots(
    name: str, found: Sequence[Mapping[str, float]], terms: Sequence[str], *, is_search: bool
) -> Markup:
    n_rows = -(-len(terms) // 2)
    height = n_rows * (_HEIGHT + _GAP) + _TOP - 8
    plots = [
        _plot(
            found,
            term,
            left=46 + (_WIDTH + 28) * (at % 2),
            top=_TOP + (_HEIGHT + _GAP) * (at // 2),
            is_search=is_search,
        )
        for at, term in enumerate(terms)
    ]
    label = f"Training of {words.the(name)}. " + "; ".join(
        f"{term.replace('_', ' ')} {words.number(found[0].get(term) or 0)} to "
        f"{words.number(found[-1].get(term) or 0)}"
        for term in terms
    )
    return svg.drawing(height, label, *plots)


def _plot(
    found: Sequence[Mapping[str, float]], term: str, *, left: float, top: float, is_search: bool
) -> Markup:
    bottom, right = top + _HEIGHT, left + _WIDTH - 46
    known = [(at, one[term]) for at, one in enumerate(found, 1) if words.is_number(one.get(term))]
    step = -(-len(known) // _POINTS)
    kept = [*known[::step], known[-1]]
    x = Linear(1, max(2, len(found)), left, right, n_ticks=4)
    y = Linear.over([value for _, value in known], bottom, top, n_ticks=3)
    series = "s2" if term.startswith("validation") else "s1"
    whole = [at for at in x.ticks() if at == round(at)]
    return svg.group(
        svg.y_axis(y, left, right, "", svg.plain),
        svg.text(left, top - 12, term.replace("_", " "), class_="axis"),
        svg.group(
            *(svg.text(x(at), bottom + 15, svg.plain(at)) for at in whole),
            svg.text((left + right) / 2, bottom + 30, "strengths tried" if is_search else "epoch"),
            text_anchor="middle",
        ),
        svg.path([(x(at), y(value)) for at, value in kept], class_=f"line {series}"),
    )

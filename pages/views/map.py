"""The map of a job's rows: what lies together, where the errors are, what is far out."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from pages import svg, words
from pages.svg import Linear
from pages.views.shell import Place, page

N_DRAWN: Final = 1000
"""Points of the drawing for browsers without JavaScript."""

_FIRST: Final = 8
"""Classes that are coloured before anyone has chosen: those with the most errors."""

_SIZE: Final = 600
_VIEWS: Final = (
    ("pca_tuned", "PCA, tuned embeddings"),
    ("pca_raw", "PCA, raw embeddings"),
    ("tsne_tuned", "t-SNE, tuned embeddings"),
    ("tsne_raw", "t-SNE, raw embeddings"),
)
_COLOURS: Final[tuple[tuple[str, str], ...]] = (
    ("label", "label"),
    ("predicted", "predicted class"),
    ("error", "error"),
    ("suspected", "suspected label"),
    ("split", "split"),
    ("ood", "OOD score"),
)
_KINDS: Final = (
    ("right", "s0", 0, 2.2),
    ("error", "s2", 1, 3.4),
    ("suspected label", "s1", 2, 4.0),
)


def map_page(
    job: Mapping[str, Any],
    found: Mapping[str, Any],
    place: Place,
    *,
    asked: Mapping[str, Any],
) -> str:
    """The page of a map.

    asked: the query: `view`, `colour`, `split`, `only`, `ood` (from which score on), `sel` (what is
    selected) and `class` (the indices of those coloured, without which the page chooses).

    found: `splits` and, of the points, `n_points` of `n_rows`, `explained_variance`, `tsne`,
    `views` that are drawn, `ood_threshold`, `ood_top` (where the
    histogram ends), `by_class` (a mapping each with `name`, `n_points`,
    `n_errors`, `n_suspected`), and of at most N_DRAWN points lists of `x`, `y` (0 to 1) and `kind`
    (0 right, 1 error, 2 suspected label).
    """
    by_class = found["by_class"]
    most = sorted(range(len(by_class)), key=lambda at: -by_class[at]["n_errors"])
    views = [(key, name) for key, name in _VIEWS if key in found["views"]]
    view = asked.get("view")
    shown = view if view in found["views"] else _preferred(found["views"])
    return page(
        "map.html.jinja",
        place,
        section="jobs",
        scripts=["map.js"],
        title=words.clean(job["name"]),
        job_id=job["id"],
        dataset_id=job["dataset_id"],
        sentence=_sentence(found),
        tsne=_tsne(found),
        views=views,
        view=shown,
        colours=[one for one in _COLOURS if one[0] != "ood" or _has_ood(found)],
        colour=asked["colour"] if asked.get("colour") in dict(_COLOURS) else "label",
        splits=words.in_order([str(name) for name in found["splits"]]),
        split=asked.get("split"),
        has_ood=_has_ood(found),
        chosen=_chosen(asked.get("class") or [], most),
        only=bool(asked.get("only")),
        selected=words.clean(asked.get("sel") or ""),
        ood_from=words.clean(asked.get("ood") or 0),
        ood_top=found.get("ood_top"),
        by_class=[(at, by_class[at], _share(by_class[at])) for at in most],
        drawn=_drawing(found),
        n_drawn=len(found["x"]),
        caption=_caption(found),
    )


def _chosen(asked: Sequence[str], most: Sequence[int]) -> set[int]:
    """The classes to be coloured, by their index; without a choice those with the most errors."""
    return {int(one) for one in asked if one.isdecimal()} if asked else set(most[:_FIRST])


def _preferred(views: Sequence[str]) -> str:
    return "tsne_tuned" if "tsne_tuned" in views else "pca_tuned"


def _has_ood(found: Mapping[str, Any]) -> bool:
    return words.is_number(found.get("ood_threshold"))


def _share(one: Mapping[str, Any]) -> str:
    return words.percent(one["n_errors"] / one["n_points"]) if one["n_points"] else words.NOTHING


def _sentence(found: Mapping[str, Any]) -> str:
    n_errors = sum(one["n_errors"] for one in found["by_class"])
    n_suspected = sum(one["n_suspected"] for one in found["by_class"])
    told = f"{words.count(found['n_points'])} of {words.count(found['n_rows'])} rows"
    if found["n_points"] == found["n_rows"]:
        told = f"All {words.count(found['n_rows'])} rows"
    return (
        f"{told}: {words.count(n_errors)} that the head gets wrong, "
        f"{words.count(n_suspected)} with a suspected label."
    )


def _tsne(found: Mapping[str, Any]) -> str:
    """Why there is no t-SNE; nothing if there is."""
    told = words.clean(found.get("tsne") or "")
    if told == "drawn":
        return ""
    if told == "pending":
        return "t-SNE is still being drawn: load the page again in a minute."
    return f"There is no t-SNE: {told}" if told else "There is no t-SNE."


def _caption(found: Mapping[str, Any]) -> str:
    variance = found.get("explained_variance") or {}
    told = [
        f"{words.percent(sum(shares))} of the {kind} embeddings' variance"
        for kind in ("tuned", "raw")
        if (shares := variance.get(kind))
    ]
    sample = ""
    if found["n_points"] < found["n_rows"]:
        sample = (
            "The rows are a sample by split and class; errors and suspects come first, so they "
            "look more frequent than they are. "
        )
    shares_of = f" The two axes of PCA hold {words.listed(told)}." if told else ""
    return (
        f"{sample}Rows that are close in the plane need not be close in fact, and the reverse."
        f"{shares_of} In t-SNE neighbours mean something; how far groups lie apart, how large they "
        "are and the axes mean nothing. Trust a group only if the rows in it agree."
    )


def _drawing(found: Mapping[str, Any]) -> Markup:
    """The tuned embeddings by PCA, for browsers without JavaScript and for print."""
    x = Linear(0, 1, 16, 16 + _SIZE)
    y = Linear(0, 1, 40 + _SIZE, 40)
    series = []
    for number, (_, style, shape, radius) in enumerate(_KINDS):
        marks = [
            svg.mark(shape, x(px), y(py), radius)
            for px, py, kind in zip(found["x"], found["y"], found["kind"], strict=True)
            if kind == number
        ]
        series.append(svg.group(*marks, class_=f"fill soft {style}"))
    legend = svg.legend([(name, style, shape) for name, style, shape, _ in _KINDS], y=14)
    return svg.drawing(_SIZE + 60, f"Map of rows by PCA. {_sentence(found)}", legend, *series)

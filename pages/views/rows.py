"""The rows behind a job's numbers: a table with filters, as `GET /jobs/{id}/rows` answers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from pages import words
from pages.figure import Column, Table
from pages.views.shell import Place, page

ONLY: Final = (
    ("", "all rows"),
    ("errors", "errors"),
    ("correct", "right ones"),
    ("suspected", "suspected labels"),
    ("gained", "gained"),
    ("lost", "lost"),
)
SORTS: Final = (
    ("", "as in the data"),
    ("label_probability", "least probable label first"),
    ("-ood_score", "farthest out first"),
)
_MOST_TEXT: Final = 160
_FILTERS: Final = ("split", "label", "predicted", "candidate", "against", "only", "sort")


def rows_page(
    job: Mapping[str, Any], found: Mapping[str, Any], place: Place, asked: Mapping[str, Any]
) -> str:
    """The page of the rows that `asked` (the query) chose, as the API answers them in `found`."""
    kept = {name: asked[name] for name in _FILTERS if asked.get(name)}
    following = None
    if found.get("next_cursor"):
        following = urlencode(kept | {"cursor": found["next_cursor"]})
    return page(
        "rows.html.jinja",
        place,
        section="jobs",
        title=words.clean(job["name"]),
        job_id=job["id"],
        sentence=_sentence(found, kept),
        notes=[words.clean(one) for one in found.get("notes") or ()],
        asked={name: words.clean(kept.get(name, "")) for name in _FILTERS},
        only=ONLY,
        sorts=SORTS,
        table=rows_table(found["items"]),
        is_empty=not found["items"],
        first=urlencode(kept) if asked.get("cursor") else None,
        following=following,
        query=urlencode(kept),
    )


def rows_table(items: Sequence[Mapping[str, Any]]) -> Table:
    """The rows as a table; columns that no row has are left out."""
    columns = [
        ("row", Column("row", "count"), _place),
        ("split", Column("split", is_name=True), lambda one: one["split"]),
        ("id", Column("id", is_name=True), lambda one: one.get("id")),
        ("text", Column("text", is_name=True), _text),
        ("label", Column("label", is_name=True), lambda one: one.get("label")),
        (
            "label_probability",
            Column("its probability", "percent"),
            lambda one: one.get("label_probability"),
        ),
        ("predicted", Column("predicted", is_name=True), lambda one: one.get("predicted")),
        (
            "predicted_probability",
            Column("its probability", "percent"),
            lambda one: one.get("predicted_probability"),
        ),
        ("suggested", Column("suggested", is_name=True), lambda one: one.get("suggested")),
        ("ood_score", Column("OOD score", "number"), lambda one: one.get("ood_score")),
        ("set_size", Column("set size", "count"), lambda one: one.get("set_size")),
    ]
    shown = [
        (column, value)
        for key, column, value in columns
        if any(one.get(key) is not None for one in items)
    ]
    return Table(
        [column for column, _ in shown], [[value(one) for _, value in shown] for one in items]
    )


def _place(one: Mapping[str, Any]) -> Any:
    """The row of the file that was sent, where it is known."""
    return one.get("row") if one.get("file_row") is None else one["file_row"]


def _text(one: Mapping[str, Any]) -> str | None:
    text = one.get("text")
    return None if text is None else words.shortened(str(text), _MOST_TEXT)


def _sentence(found: Mapping[str, Any], kept: Mapping[str, str]) -> str:
    n_rows = found.get("n_matching")
    which = dict(ONLY).get(kept.get("only", ""), "rows")
    who = words.the(kept["candidate"]) if kept.get("candidate") else "the published head"
    against = words.the(kept["against"]) if kept.get("against") else "the other"
    told = {
        "errors": f"that {who} gets wrong",
        "correct": f"that {who} gets right",
        "suspected": "whose label held-out predictions speak against",
        "gained": f"that {who} gets right and {against} gets wrong",
        "lost": f"that {who} gets wrong and {against} gets right",
    }.get(kept.get("only", ""), "")
    unit = "row" if n_rows == 1 else "rows"
    parts = [words.capital(which) if n_rows is None else f"{words.count(n_rows)} {unit}"]
    if kept.get("split"):
        parts.append(f"of {words.split(kept['split'])}")
    if kept.get("label"):
        parts.append(f"with the label {words.clean(kept['label'])}")
    if kept.get("predicted"):
        parts.append(f"taken for {words.clean(kept['predicted'])}")
    return " ".join([*parts, *([told] if told else [])]) + "."

"""Suspected label errors, to be judged one at a time or read as a table."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from pages import words
from pages.views.shell import Place, page

KEYS: Final = (
    ("k", "keep the label"),
    ("s", "take the suggestion"),
    ("1–9", "give this label"),
    ("x", "drop the row"),
    ("u", "undo the last decision"),
    ("j", "next row"),
    ("p", "row before"),
)
_OF_ENCODER: Final = ("model", "base_url", "dimensions", "price_per_million_tokens")
_MOST_TEXT: Final = 160


def labels_page(
    job: Mapping[str, Any],
    found: Mapping[str, Any],
    place: Place,
    *,
    cursor: str | None = None,
    again: Mapping[str, Any] | None = None,
) -> str:
    """The page of the suspects in `found`, as `GET /jobs/{id}/rows?only=suspected` answers.

    again: the settings that make the same job again, None where there are none.
    """
    items = found["items"]
    following = found.get("next_cursor")
    return page(
        "labels.html.jinja",
        place,
        scripts=["review.js"],
        section="jobs",
        title=words.clean(job["name"]),
        job_id=job["id"],
        dataset_id=job["dataset_id"],
        head=job.get("head"),
        again=None if again is None else _request(job, again),
        sentence=_sentence(found),
        keys=KEYS,
        items=[{**one, "suggested_probability": suggested_probability(one)} for one in items],
        notes=[words.clean(one) for one in found.get("notes") or ()],
        rows=[_row(one) for one in items],
        has_text=any(one.get("text") is not None for one in items),
        has_id=any(one.get("id") is not None for one in items),
        first=cursor is not None,
        following=urlencode({"cursor": following}) if following else None,
    )


def _request(job: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The body of `POST /jobs` that trains as the job did; the data set is still to be named."""
    body = {"name": job["name"], "method": job["method"], "queue": job["queue"]}
    if settings:
        body["config"] = settings
    if analyses := job["config"].get("analyses"):
        body["analyses"] = analyses
    if not job["config"].get("compare", True):
        body["compare"] = False
    if encoder := job.get("encoder"):
        asked = {name: encoder[name] for name in _OF_ENCODER if encoder.get(name) is not None}
        body["provider"] = {"name": encoder["provider"]} | asked
    return body


def _sentence(found: Mapping[str, Any]) -> str:
    n_rows = found.get("n_matching")
    if n_rows is None:
        n_rows = len(found["items"])
    if not n_rows:
        return (
            "No label is suspected: held-out predictions speak against none, or there are no "
            "held-out predictions of training rows, which method auto makes."
        )
    told = "row has a label" if n_rows == 1 else "rows have labels"
    return (
        f"{words.count(n_rows)} training {told} that held-out predictions speak against, the most "
        "doubtful first."
    )


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    text = one.get("text")
    row = one.get("row") if one.get("file_row") is None else one["file_row"]
    return {
        "row": words.written(row, "count"),
        "id": words.written(one.get("id"), "text"),
        "text": words.NOTHING if text is None else words.shortened(words.clean(text), _MOST_TEXT),
        "given": words.clean(one["label"]),
        "given_probability": words.written(one.get("label_probability"), "percent"),
        "suggested": words.clean(one["suggested"]),
        "suggested_probability": words.written(suggested_probability(one), "percent"),
        "neighbours": _neighbours(one.get("neighbours") or ()),
    }


def suggested_probability(one: Mapping[str, Any]) -> float | None:
    """The probability of the suggested label, which is known of the predicted class alone."""
    is_known = one["suggested"] == one.get("predicted")
    return one.get("predicted_probability") if is_known else None


def _neighbours(rows: Sequence[Mapping[str, Any]]) -> str:
    """The labels of the nearest training rows, the most frequent first: cat ×3, dog ×2."""
    counts: dict[str, int] = {}
    for one in rows:
        label = words.clean(one["label"])
        counts[label] = counts.get(label, 0) + 1
    ordered = sorted(counts.items(), key=lambda one: -one[1])
    return ", ".join(f"{label} ×{count}" for label, count in ordered) or words.NOTHING

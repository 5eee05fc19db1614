"""The list of datasets, and one: what is in it, may it be trusted?"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from pages import words
from pages.views.shell import Place, page

_STEPS: Final = 6
_MOST_CLASSES: Final = 1000
"""Classes in the table; the JSON has all."""

_KEEP: Final = (("7 days", 604_800), ("30 days", 2_592_000), ("a year", 31_536_000))


def datasets_page(found: Mapping[str, Any], place: Place, *, is_first: bool) -> str:
    """The page of a list, as `GET /datasets` answers it."""
    cursor = found["next_cursor"]
    return page(
        "datasets.html.jinja",
        place,
        section="datasets",
        datasets=[line_of(dataset) for dataset in found["items"]],
        is_first=is_first,
        newest="?",
        older=f"?{urlencode({'cursor': cursor})}" if cursor else None,
    )


def line_of(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """What a list says of a dataset."""
    return {
        "id": dataset["id"],
        "name": dataset["name"],
        "content": content(dataset),
        "n_rows": dataset["n_rows"],
        "n_classes": len(dataset["classes"]),
        "splits": [words.split(str(split["name"])) for split in dataset["splits"]],
        "n_warnings": len(dataset["warnings"]),
        "size": words.size(dataset["size_bytes"]),
        "created_at": words.time(dataset["created_at"]),
        "expires_at": words.time(dataset.get("expires_at")),
        "is_labelled": is_labelled(dataset),
    }


def content(dataset: Mapping[str, Any]) -> str:
    """What its rows are."""
    if dataset["content"] == "texts":
        return "texts"
    return f"{dataset['content']}, {words.plural(dataset['n_columns'], 'column')}"


def is_labelled(dataset: Mapping[str, Any]) -> bool:
    """Whether a head can be trained on it."""
    return bool(dataset["classes"])


def dataset_page(dataset: Mapping[str, Any], place: Place) -> str:
    """The page of a dataset, as `GET /datasets/{id}` answers it."""
    lineage = dataset.get("lineage")
    return page(
        "dataset.html.jinja",
        place,
        section="datasets",
        dataset_id=dataset["id"],
        name=dataset["name"],
        line=line_of(dataset),
        content=content(dataset),
        warnings=[words.clean(one["message"]) for one in dataset["warnings"]],
        sentences=_sentences(dataset),
        splits=_splits(dataset),
        counts=_counts(dataset),
        n_left_out=max(0, len(dataset["classes"]) - _MOST_CLASSES),
        parent_id=dataset.get("parent_id"),
        lineage=_flat(lineage) if isinstance(lineage, Mapping) else [],
        keep=_KEEP,
        facts=[
            ("rows", words.count(dataset["n_rows"])),
            ("content", content(dataset)),
            ("classes", words.count(len(dataset["classes"]))),
            ("size", words.size(dataset["size_bytes"])),
            ("created", words.time(dataset["created_at"])),
            ("kept", _until(dataset)),
            ("sha256", dataset["sha256"]),
        ],
    )


def _until(dataset: Mapping[str, Any]) -> str:
    until = dataset.get("expires_at")
    return f"until {words.time(until)}" if until else "for ever"


def _sentences(dataset: Mapping[str, Any]) -> list[str]:
    """The profile in words."""
    profile = dataset.get("profile") or {}
    told = []
    if words.is_number(profile.get("imbalance_ratio")) and profile["imbalance_ratio"] > 0:
        ratio = words.number(profile["imbalance_ratio"])
        told.append(
            f"The largest class of the training rows has {ratio} times the smallest's rows."
        )
    if words.is_number(profile.get("effective_rank")):
        rank = words.number(profile["effective_rank"])
        told.append(f"The embeddings have an effective rank of {rank} of {dataset['n_columns']:,}.")
    for name, one, many in (
        ("n_duplicate_train_rows", "training row repeats another", "training rows repeat others"),
        (
            "n_conflicting_train_rows",
            "training row has the embedding of another, but a different label",
            "training rows have embeddings of others, but different labels",
        ),
        ("n_constant_columns", "column is constant", "columns are constant"),
    ):
        if profile.get(name):
            told.append(f"{words.plural(profile[name], one, many)}.")
    return told


def _splits(dataset: Mapping[str, Any]) -> list[dict[str, str]]:
    """Each split in numbers."""
    profiles = (dataset.get("profile") or {}).get("splits") or {}
    found = []
    for split in dataset["splits"]:
        profile = profiles.get(split["name"]) or {}
        norms = profile.get("norms") or {}
        lengths = [norms.get(name) for name in ("min", "mean", "max")]
        told = [words.number(one) for one in lengths if words.is_number(one)]  # type: ignore[arg-type]
        found.append(
            {
                "name": words.split(str(split["name"])),
                "n_rows": words.count(split["n_rows"]),
                "missing": words.written(profile.get("n_classes_missing"), "count"),
                "in_train": words.written(profile.get("n_rows_also_in_train"), "count"),
                "zero": words.written(profile.get("n_zero_rows"), "count"),
                "norms": " / ".join(told) or words.NOTHING,
            }
        )
    return found


def _counts(dataset: Mapping[str, Any]) -> list[tuple[str, list[tuple[int, int]]]]:
    """Of each class its name, and of each split its rows and how dark the cell is, 0 to 6."""
    splits = dataset["splits"]
    found = []
    for name in dataset["classes"][:_MOST_CLASSES]:
        counts = [split["class_counts"].get(name, 0) for split in splits]
        cells = [
            (n_rows, _step(n_rows, max(split["class_counts"].values(), default=0)))
            for n_rows, split in zip(counts, splits, strict=True)
        ]
        found.append((words.clean(name), cells))
    return found


def _step(n_rows: int, most: int) -> int:
    if n_rows <= 0:
        return 0
    return 1 + min(_STEPS - 1, math.floor(_STEPS * math.log(n_rows + 1) / math.log(most + 1)))


def _flat(lineage: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """What the lineage says of how it was made, beside its parent."""
    return [
        (words.clean(name).replace("_", " ").removeprefix("n "), words.clean(value))
        for name, value in lineage.items()
        if value not in (None, "", [], {}) and name != "parent_id"
    ]

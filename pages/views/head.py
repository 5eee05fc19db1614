"""A head: its versions side by side, what is live, where each version came from."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pages import words
from pages.views.heads import PROD, accuracy, live, percent
from pages.views.shell import Place, page

_FIGURES: Final[tuple[tuple[str, str, words.Kind], ...]] = (
    ("accuracy", "accuracy", "percent"),
    ("macro_f1", "macro F1", "percent"),
    ("log_loss", "log loss", "number"),
    ("ece", "calibration error", "percent"),
)


class NoVersionError(LookupError):
    """The head has no such version; its text says which it has."""


def head_page(
    head: Mapping[str, Any],
    aliases: Sequence[Mapping[str, Any]],
    place: Place,
    *,
    version: int | None = None,
) -> str:
    """The page of a head, as `GET /heads/{name}` and its list of aliases answer.

    version: the one to look at closely, by default the live one, else the latest. Raises
    NoVersionError.
    """
    versions = head["versions"]
    shown = _shown(head, version)
    base = live(head)
    splits = words.in_order(list({split: 0 for one in versions for split in one["metrics"]}))
    held_out = [split for split in splits if split != "train"] or splits
    return page(
        "head.html.jinja",
        place,
        section="heads",
        name=head["name"],
        latest=head["latest_version"],
        splits=held_out,
        base=base["version"] if base else None,
        prod=PROD,
        lines=[_line(one, base, held_out) for one in versions],
        numbers=[one["version"] for one in versions],
        compare_from=base["version"] if base else versions[-1]["version"],
        compare_to=_other(versions, base),
        aliases=[_alias(one) for one in aliases],
        shown=shown,
        facts=[(name, words.clean(value)) for name, value in _facts(shown)],
        tags=list((shown.get("tags") or {}).items()),
        metrics=_metrics(shown, splits),
        classes=[words.clean(one) for one in shown["classes"]],
    )


def _shown(head: Mapping[str, Any], version: int | None) -> Mapping[str, Any]:
    if version is None:
        return live(head) or head["versions"][0]
    for one in head["versions"]:
        if one["version"] == version:
            return one  # type: ignore[no-any-return]
    numbers = [str(one["version"]) for one in head["versions"]]
    raise NoVersionError(
        f"{head['name']} has no version {version}. It has {words.listed(numbers)}."
    )


def _line(
    version: Mapping[str, Any], base: Mapping[str, Any] | None, splits: Sequence[str]
) -> dict[str, Any]:
    """A version in the table: its accuracy by split, and what that gains on the live one."""
    is_base = base is not None and base["version"] == version["version"]
    cells = []
    for split in splits:
        own = accuracy(version, split)
        other = accuracy(base, split) if base is not None and not is_base else None
        gained = None if own is None or other is None else own - other
        kind = "" if gained is None else _kind(gained)
        cells.append((percent(own), "" if gained is None else words.points(gained), kind))
    return {
        "version": version["version"],
        "aliases": version["aliases"],
        "method": words.candidate(str(version["method"])),
        "cells": cells,
        "note": words.clean(version.get("description") or ""),
        "size": words.size(version["size_bytes"]),
        "created_at": words.time(version["created_at"]),
        "is_base": is_base,
    }


def _kind(gained: float) -> str:
    shown = round(100 * gained, 1)
    return "gain" if shown > 0 else "loss" if shown < 0 else ""


def _other(versions: Sequence[Mapping[str, Any]], base: Mapping[str, Any] | None) -> int:
    """The newest version that is not the live one."""
    first = base["version"] if base else versions[-1]["version"]
    numbers = [one["version"] for one in versions if one["version"] != first]
    return int(numbers[0] if numbers else first)


def _alias(alias: Mapping[str, Any]) -> dict[str, Any]:
    history = [
        f"{before['version']} (since {words.time(before['set_at'])})"
        for before in reversed(alias.get("history") or [])
    ]
    return {
        "name": alias["alias"],
        "version": alias["version"],
        "since": words.time(alias.get("set_at")),
        "before": history,
    }


def _facts(version: Mapping[str, Any]) -> list[tuple[str, object]]:
    lineage, encoder = version["lineage"], version.get("encoder") or {}
    machine = lineage.get("machine") or {}
    device = machine.get("device_name") or machine.get("device")
    embedded = " ".join(filter(None, (encoder.get("provider"), encoder.get("model"))))
    facts = [
        ("method", words.candidate(str(version["method"]))),
        ("made", words.time(version["created_at"])),
        ("takes", f"embeddings of {words.count(version['n_columns'])} columns"),
        ("encoder", embedded),
        ("encoder's fingerprint", lineage.get("encoder") or encoder.get("fingerprint")),
        ("parameters", words.count(version["n_parameters"])),
        ("size", words.size(version["size_bytes"])),
        ("adapted from", _adapted(version["name"], lineage)),
        ("seed", lineage.get("seed")),
        ("trained by", _code(lineage, machine)),
        ("on", " on ".join(filter(None, (device, machine.get("platform"))))),
        ("sha256 of the head", version["sha256"]),
        ("sha256 of the data", lineage.get("dataset_sha256")),
    ]
    return [(name, value) for name, value in facts if value not in (None, "")]


def _adapted(name: str, lineage: Mapping[str, Any]) -> str | None:
    """The version before it, and what was won; None of a trained version."""
    record = lineage.get("adaptation")
    if lineage.get("adapted_from") is None or not record:
        return None
    held_out = record["held_out"]
    return (
        f"{name}@{lineage['adapted_from']}, to {words.count(record['n_rows'])} labelled rows: "
        f"log loss {held_out['after']:.3g} instead of {held_out['before']:.3g}, held out in turn"
    )


def _code(lineage: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    parts = [("NMTune", lineage.get("nmtune_version")), ("torch", machine.get("torch_version"))]
    return ", ".join(f"{name} {version}" for name, version in parts if version)


def _metrics(
    version: Mapping[str, Any], splits: Sequence[str]
) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Of each split its name, its rows and its figures."""
    found = []
    for split in splits:
        figures = version["metrics"].get(split)
        if not figures:
            continue
        values = [(title, words.written(figures.get(name), kind)) for name, title, kind in _FIGURES]
        found.append((words.split(split), words.written(figures.get("n_rows"), "count"), values))
    return found

"""What is published, whether to use it, and why."""

from collections.abc import Mapping
from typing import Any

from pages import words
from pages.figure import Best, Column, Figure, Panel, Table
from pages.reading import Report, found, published


def badges(report: Report) -> list[tuple[str, str]]:
    """What the verdict comes to, in a few words each, with its kind: good, bad or plain."""
    verdict: Mapping[str, Any] = report.get("verdict") or {}
    method = published(report)
    told = [("published: " + words.candidate(method), "plain")] if method else []
    recommended = verdict.get("recommended")
    if recommended and recommended != method:
        told.append((f"recommended: {words.candidate(str(recommended))}", "plain"))
    if verdict.get("advises_against"):
        told.append(("advised against", "bad"))
    elif recommended == method:
        told.append(("recommended", "good"))
    alias = report.get("alias")
    if isinstance(alias, Mapping) and alias.get("name"):
        moved = "moved" if alias.get("moved") else "did not move"
        kind = "good" if alias.get("moved") else "bad"
        told.append((f"alias {words.clean(alias['name'])} {moved}", kind))
    return told


def draw(report: Report, _candidate: str) -> Figure:
    """The sentences of the verdict; with method auto, the figures that the choice rests on."""
    verdict = found(report, "verdict", otherwise="The report has no verdict.")
    sentences = [words.clean(one) for one in verdict.get("sentences") or ()]
    alias = report.get("alias")
    if isinstance(alias, Mapping) and alias.get("reason"):
        sentences.append(words.clean(alias["reason"]))
    panels = [Panel(sentence=one) for one in sentences]
    choice = report.get("choice")
    if isinstance(choice, Mapping) and choice.get("evidence"):
        panels.append(_choice(choice))
    return Figure(sentence=words.clean(verdict.get("summary") or ""), panels=panels)


def _choice(choice: Mapping[str, Any]) -> Panel:
    weights: Mapping[str, Any] = choice.get("weights") or {}
    rows = []
    for one in choice["evidence"]:
        name = str(one.get("candidate"))
        weight = weights.get(name)
        rows.append(
            (
                Best(words.candidate(name)) if weight else words.candidate(name),
                one.get("accuracy"),
                one.get("log_loss"),
                weight,
            )
        )
    return Panel(
        title=f"What the choice rests on: {choice.get('n_rows', 0):,} held-out training rows",
        table=Table(
            [
                Column("candidate"),
                Column("accuracy", "percent"),
                Column("log loss", "number"),
                Column("weight in the head", "percent"),
            ],
            rows,
        ),
    )

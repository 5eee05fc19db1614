"""Two versions of a head side by side: shall the newer be promoted?"""

from collections.abc import Mapping
from typing import Any

from pages import words
from pages.figure import Column, Panel, Table
from pages.figures import forest
from pages.views.heads import PROD
from pages.views.shell import Place, page

Split = Mapping[str, Any]


def compare_page(compared: Mapping[str, Any], place: Place) -> str:
    """The page of a comparison, as `GET /heads/{name}/compare` answers it."""
    before, after = compared["from"], compared["to"]
    rows = [one for one in map(_difference(compared), compared["splits"]) if one is not None]
    is_paired = bool(compared.get("paired"))
    drawn = [one for one in rows if one["split"] != "train"] or rows
    return page(
        "compare.html.jinja",
        place,
        section="heads",
        name=after["name"],
        before=before,
        after=after,
        verdict=words.clean(compared["verdict"]),
        note=words.clean(compared.get("note") or ""),
        is_paired=is_paired,
        panel=Panel(drawn=forest.plot(drawn), table=_accuracies(rows)) if drawn else None,
        table=_figures(compared["splits"]),
        classes=compared["classes"],
        changes=[
            (title, [_change(name, one) for name, one in compared[key].items()])
            for key, title in (("config", "Settings that differ"), ("lineage", "What else differs"))
        ],
        prod=PROD,
        alias=(before["aliases"] or [PROD])[0],
    )


def _difference(compared: Mapping[str, Any]) -> Any:
    """What makes a row of the forest plot of a split; None where there is no interval."""
    titles = [f"{compared[key]['name']}@{compared[key]['version']}" for key in ("to", "from")]

    def row(one: Split) -> dict[str, Any] | None:
        accuracy = one["metrics"].get("accuracy") or {}
        paired = one.get("paired") if isinstance(one.get("paired"), Mapping) else one
        interval = (paired or {}).get("interval") or accuracy.get("interval")
        if interval is None or accuracy.get("difference") is None:
            return None
        low, high = interval
        return {
            "candidate": titles[0],
            "baseline": titles[1],
            "split": one["split"],
            "interval": interval,
            "accuracy_difference": accuracy["difference"],
            "candidate_accuracy": accuracy["to"],
            "baseline_accuracy": accuracy["from"],
            "n_rows": one.get("n_rows_to"),
            "n_gained": (paired or {}).get("n_gained"),
            "n_lost": (paired or {}).get("n_lost"),
            "p_value": (paired or {}).get("p_value"),
            "finding": "gain" if low > 0 else "loss" if high < 0 else "unclear",
        }

    return row


def _accuracies(rows: list[dict[str, Any]]) -> Table:
    """The numbers of the plot, with the pairs where they are known."""
    columns = [
        Column("split", is_name=True),
        Column("rows", "count"),
        Column("difference", "points"),
        Column("from", "points"),
        Column("to", "points"),
    ]
    values = [
        [words.split(one["split"]), one["n_rows"], one["accuracy_difference"], *one["interval"]]
        for one in rows
    ]
    if any(one["n_gained"] is not None for one in rows):
        columns += [Column("rows gained", "count"), Column("rows lost", "count")]
        columns.append(Column("p (McNemar)", "p"))
        for value, one in zip(values, rows, strict=True):
            value += [one["n_gained"], one["n_lost"], one["p_value"]]
    return Table(columns, values)


def _figures(splits: list[Split]) -> Table:
    """Every figure of both by split."""
    columns = [
        Column("split", is_name=True),
        Column("figure"),
        Column("from"),
        Column("to"),
        Column("difference"),
    ]
    rows = []
    for one in splits:
        for name, figure in one["metrics"].items():
            kind: words.Kind = "number" if name == "log_loss" else "percent"
            by: words.Kind = "number" if name == "log_loss" else "points"
            rows.append(
                [
                    words.split(one["split"]),
                    {"ece": "calibration error", "macro_f1": "macro F1"}.get(
                        name, name.replace("_", " ")
                    ),
                    words.written(figure["from"], kind),
                    words.written(figure["to"], kind),
                    words.written(figure["difference"], by),
                ]
            )
    return Table(columns, rows)


def _change(name: str, change: Mapping[str, Any]) -> tuple[str, str, str]:
    return words.clean(name), _told(change["from"]), _told(change["to"])


def _told(value: object) -> str:
    if value is None:
        return words.NOTHING
    return words.shortened(words.clean(f"{value:g}" if isinstance(value, float) else value), 200)

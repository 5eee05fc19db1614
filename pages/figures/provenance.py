"""What the head was made from and with, and how to say so in a paper."""

from collections.abc import Mapping
from typing import Any

from pages import words
from pages.figure import Column, Figure, Panel, Table
from pages.reading import Report, candidates, of_head, published, title

_SHORT = ("learning_rate", "batch_size", "epochs", "optimiser", "weight_decay", "loss")
_CITATION = (
    "H. Chen et al.: Impact of Noisy Supervision in Foundation Model Learning. TPAMI 2025, "
    "arXiv:2403.06869. Trained and evaluated with NMTune {version}."
)


def draw(report: Report, _candidate: str) -> Figure:
    """Dataset, settings, versions and seconds."""
    dataset: Mapping[str, Any] = report.get("dataset") or {}
    environment: Mapping[str, Any] = report.get("environment") or {}
    splits = dataset.get("splits") or []
    facts: list[tuple[str, Any]] = [
        ("head", report.get("head") or report.get("name")),
        ("candidate", None if of_head(report) == published(report) else of_head(report)),
        ("job", report.get("job_id")),
        ("finished", words.time(report["finished_at"]) if report.get("finished_at") else None),
        ("dataset", dataset.get("name")),
        ("dataset id", dataset.get("id")),
        ("sha256 of the data", dataset.get("sha256")),
        ("columns", dataset.get("n_columns")),
        ("classes", len(dataset.get("classes") or ()) or None),
        *((f"rows of {words.split(str(one['name']))}", one.get("n_rows")) for one in splits),
        ("method", report.get("method")),
        ("seed", environment.get("seed")),
        ("seconds of training", environment.get("seconds")),
        ("device", environment.get("device_name") or environment.get("device")),
        ("threads", environment.get("n_threads")),
        ("nmtune", environment.get("nmtune_version")),
        ("torch", environment.get("torch_version")),
        ("version of the report", report.get("version")),
    ]
    known = [[name, value] for name, value in facts if value is not None]
    panels = [
        Panel(table=Table([Column("what"), Column("value", is_name=True)], _as_text(known))),
        Panel(title="Candidates and their settings", table=_settings(report)),
    ]
    return Figure(
        sentence=method_sentence(report),
        panels=panels,
        caption=citation(report),
    )


def method_sentence(report: Report) -> str:
    """What was done, as a paper would say it."""
    dataset: Mapping[str, Any] = report.get("dataset") or {}
    environment: Mapping[str, Any] = report.get("environment") or {}
    rows = {str(one["name"]): one.get("n_rows") for one in dataset.get("splits") or ()}
    n_train = rows.pop("train", None)
    trained = f"on {n_train:,} frozen embeddings" if n_train else "on frozen embeddings"
    width = f" of width {dataset['n_columns']:,}" if dataset.get("n_columns") else ""
    judged = words.listed(
        [f"{words.split(name)} ({n_rows:,} rows)" for name, n_rows in rows.items() if n_rows]
    )
    seed = environment.get("seed")
    how = f"with method {words.clean(published(report))}"
    if of_head(report) != published(report):
        how = f"as the candidate {words.clean(of_head(report))} of a job {how}"
    return (
        f"We trained the head {title(report)} {how} "
        f"(NMTune {words.clean(environment.get('nmtune_version', '?'))}"
        f"{'' if seed is None else f', seed {seed}'}) {trained}{width}, "
        f"{len(dataset.get('classes') or ()):,} classes"
        + (f", and evaluated it on {judged}." if rows else ".")
    )


def citation(report: Report) -> str:
    """The paper behind the method, and this version."""
    environment: Mapping[str, Any] = report.get("environment") or {}
    return _CITATION.format(version=words.clean(environment.get("nmtune_version", "")))


def _settings(report: Report) -> Table:
    rows = []
    for name in candidates(report):
        one = report["candidates"][name]
        config: Mapping[str, Any] = one.get("config") or {}
        settings = "; ".join(
            f"{key} {config[key]}" for key in _SHORT if config.get(key) is not None
        )
        members = config.get("members")
        rows.append(
            [
                words.candidate(name),
                one.get("n_parameters"),
                one.get("train_seconds"),
                one.get("temperature"),
                f"blend of {len(members)} members" if members else settings,
            ]
        )
    return Table(
        [
            Column("candidate"),
            Column("parameters", "count"),
            Column("training", "seconds"),
            Column("temperature", "number"),
            Column("settings"),
        ],
        rows,
    )


def _as_text(facts: list[list[Any]]) -> list[list[str]]:
    return [
        [name, f"{value:,}" if isinstance(value, int) and name != "seed" else str(value)]
        for name, value in facts
    ]

"""Begin: a file or a stored dataset, what the job would do, and the same for other programs."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from pages import words
from pages.views.datasets import content, is_labelled, line_of
from pages.views.shell import Place, page

METHODS: Final = (
    ("auto", "auto: choose by cross-validation"),
    ("nmtune", "NMTune"),
    ("mlp", "matched MLP"),
    ("linear_probe", "linear probe"),
)
ANALYSES: Final = (
    ("ablation", "what each term of NMTune is worth"),
    ("learning_curve", "whether more labels would help"),
    ("published_loop", "MLP and NMTune as the papers train them, for 30 epochs (method auto)"),
)
_COLUMNS: Final = ("label", "embedding", "text", "split", "domain", "group", "id")


def begin_page(found: Mapping[str, Any], place: Place, *, is_first: bool) -> str:
    """The page before anything is chosen: a file to upload, and the list of `GET /datasets`."""
    cursor = found["next_cursor"]
    return page(
        "begin.html.jinja",
        place,
        scripts=["upload.js"],
        section="new",
        columns=_COLUMNS,
        datasets=[line_of(one) for one in found["items"] if is_labelled(one)],
        is_first=is_first,
        newest="?",
        older=f"?{urlencode({'cursor': cursor})}" if cursor else None,
    )


def new_page(
    dataset: Mapping[str, Any],
    wanted: Mapping[str, Any],
    plan: Mapping[str, Any] | None,
    place: Place,
    *,
    refusal: str = "",
    origin: str,
) -> str:
    """The page of a job to be: its dataset, its options and its plan.

    wanted: the body of `POST /jobs`. plan: what `?plan=true` answers to it, or None and its
    refusal. origin: the address of the service, for those who ask it by other means.
    """
    provider = wanted.get("provider") or {}
    return page(
        "new.html.jinja",
        place,
        section="new",
        dataset=line_of(dataset),
        dataset_id=dataset["id"],
        content=content(dataset),
        is_texts=dataset["content"] == "texts",
        warnings=[words.clean(one["message"]) for one in dataset["warnings"]],
        wanted=wanted,
        provider=provider,
        config=json.dumps(wanted["config"]) if wanted.get("config") else "",
        methods=METHODS,
        analyses=ANALYSES,
        plan=None if plan is None else _plan(plan),
        refusal=words.clean(refusal),
        same=_same(wanted, origin),
    )


def _plan(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A plan in words."""
    tiles = [
        (
            "Rows",
            words.count(plan["n_rows"]),
            words.plural(len(plan["classes"]), "class", "classes"),
        ),
        ("Candidates", words.count(len(plan["candidates"])), "trained side by side"),
        ("Time", *_time(plan)),
    ]
    if plan.get("memory_bytes") is not None:
        tiles.append(("Memory", words.size(plan["memory_bytes"]), "at its peak, roughly"))
    return {
        "tiles": tiles,
        "splits": [
            (words.split(str(split["name"])), words.count(split["n_rows"]))
            for split in plan["splits"]
        ],
        "candidates": [
            (words.candidate(str(one["name"])), words.written(one["n_steps"], "count"))
            for one in plan["candidates"]
        ],
        "embedding": _embedding(plan.get("embedding")),
    }


def _time(plan: Mapping[str, Any]) -> tuple[str, str]:
    if plan.get("seconds") is None:
        return "unknown", "no earlier job of this method to go by"
    n_jobs = words.plural(plan["n_jobs_measured"], "earlier job")
    return (
        f"about {words.seconds(plan['seconds'])}",
        f"at the pace of {n_jobs}, once a worker is free",
    )


def _embedding(planned: Mapping[str, Any] | None) -> str:
    if planned is None:
        return ""
    told = (
        f"{words.plural(planned['n_different'], 'different text')}, of which "
        f"{words.count(planned['n_known'])} are embedded already; about "
        f"{words.plural(planned['n_requests'], 'request')} and "
        f"{words.plural(planned['n_tokens'], 'token')}"
    )
    return told if planned.get("cost") is None else f"{told}, costing about {planned['cost']:g}"


def _same(wanted: Mapping[str, Any], origin: str) -> list[tuple[str, str]]:
    """The same job by the command line, in Python and by curl."""
    return [
        ("Command line", _command(wanted, origin)),
        ("Python", _python(wanted, origin)),
        ("curl", _curl(wanted, origin)),
    ]


def _command(wanted: Mapping[str, Any], origin: str) -> str:
    parts: list[str] = ["nmtune", "tune", str(wanted["dataset_id"]), "--url", origin]
    parts += ["--name", wanted["name"], "--method", wanted["method"]]
    parts += _options("--alias", [wanted.get("alias")])
    parts += ["--alias-always"] if wanted.get("alias_always") else []
    parts += [] if wanted.get("compare", True) else ["--no-compare"]
    parts += _options("--analyse", wanted.get("analyses") or [])
    provider = wanted.get("provider") or {}
    for option, name in (
        ("--provider", "name"),
        ("--model", "model"),
        ("--base-url", "base_url"),
    ):
        parts += _options(option, [provider.get(name)])
    config = dict(wanted.get("config") or {})
    parts += _options("--preset", [config.pop("preset", None)])
    parts += _options("--set", [f"{name}={_set(value)}" for name, value in config.items()])
    return shlex.join(words.clean(part) for part in parts)


def _options(option: str, values: Sequence[Any]) -> list[str]:
    return [part for value in values if value for part in (option, str(value))]


def _set(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _python(wanted: Mapping[str, Any], origin: str) -> str:
    arguments = "".join(f"    {name}={value!r},\n" for name, value in wanted.items())
    return (
        "from nmtune_client import Client\n\n"
        f"client = Client({origin!r})\n"
        f"job = client.jobs.create(\n{arguments})\n"
        "job.wait(progress=True)\nprint(job.report())"
    )


def _curl(wanted: Mapping[str, Any], origin: str) -> str:
    return (
        f"curl -X POST {shlex.quote(f'{origin}/jobs')} -H 'Content-Type: application/json' \\\n"
        f"     -d {shlex.quote(json.dumps(wanted))}"
    )

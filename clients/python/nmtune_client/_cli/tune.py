"""`nmtune tune`: upload, submit, watch, show the result."""

import argparse
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmtune_client import APIStatusError, Client
from nmtune_client._cli.datasets import upload
from nmtune_client._cli.jobs import watch
from nmtune_client._cli.shared import inputs
from nmtune_client._cli.shared.encoder_options import (
    add_encoders,
    check_encoders,
    name_of_column,
)
from nmtune_client._cli.shared.options import (
    FILE,
    Subparsers,
    add_keep,
    add_notes,
    add_provider,
    add_reading,
    add_waiting,
    declare,
    provider_of,
)
from nmtune_client._cli.shared.output import print_json, say
from nmtune_client._datasets.sources import name_of
from nmtune_client._datasets.values import Dataset
from nmtune_client._jobs.calls import plan_job
from nmtune_client._jobs.submission import submission

_READING = (
    "embedding",
    "text",
    "label",
    "split",
    "domain",
    "group",
    "id",
    "ood_domains",
    "test_fraction",
    "split_seed",
    "merge_similar",
)

_N_EXAMPLES = 40


def add_tune(commands: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare `nmtune tune`."""
    tune = declare(
        commands, shared, "tune", tune_file, "upload a dataset, tune a head, show the result"
    )
    tune.add_argument("source", metavar="FILE", help=f"{FILE}, or the id of a stored one")
    tune.add_argument("--name", help="name of the head and of the dataset (the file's)")
    add_keep(tune)
    add_reading(tune)
    add_provider(tune)
    add_encoders(tune)
    tune.add_argument("--method", metavar="M", help="auto (default), nmtune, mlp or linear_probe")
    tune.add_argument(
        "--preset",
        metavar="P",
        help="paper or reference: for methods nmtune and mlp, or with the analysis published_loop",
    )
    tune.add_argument(
        "--paradigm",
        choices=("black_box", "lora"),
        help="lora also adapts the encoder of texts, and publishes that only if it wins",
    )
    tune.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a setting, e.g. seed=1, which goes before the preset's; may be repeated",
    )
    tune.add_argument(
        "--analyse",
        metavar="WHAT",
        action="append",
        choices=("ablation", "learning_curve", "published_loop", "full_finetuning"),
        help="look into the ablation of NMTune's terms, the learning_curve, the published_loop of "
        "the papers, or with --paradigm lora full_finetuning; may be repeated",
    )
    tune.add_argument(
        "--no-compare",
        dest="compare",
        action="store_false",
        help="train nothing that is only compared with the published head",
    )
    tune.add_argument("--alias", metavar="A", help="alias to set on the new version, e.g. prod")
    tune.add_argument(
        "--alias-always",
        action="store_true",
        help="move the alias although the verdict advises against the head",
    )
    add_notes(tune)
    tune.add_argument("--queue", metavar="Q", help="cpu or gpu: which workers train it")
    tune.add_argument("--priority", metavar="N", type=int, help="-100 to 100, higher goes first")
    tune.add_argument(
        "--plan", action="store_true", help="upload, say what the job would do, and train nothing"
    )
    tune.add_argument(
        "--no-wait", dest="wait", action="store_false", help="submit, print the job's id and leave"
    )
    add_waiting(tune)


def tune_file(client: Client, arguments: Namespace) -> None:
    """Upload, submit, watch, show the result."""
    config = inputs.settings(arguments.set, arguments.preset)
    tags = inputs.tags(arguments.tag)
    if arguments.name is None and not arguments.source.startswith("ds_"):
        arguments.name = name_of(Path(arguments.source))
    if arguments.name is None and not arguments.plan:
        raise ValueError("--name is required: the name of the head")
    if arguments.alias_always and arguments.alias is None:
        raise ValueError("--alias-always needs --alias, which it moves whatever the verdict says")
    provider = provider_of(arguments)
    check_encoders(arguments)
    if arguments.text is not None and provider is None and not arguments.encoder:
        raise ValueError("--text needs --provider or --encoder, which embed the texts")
    fields = {
        "name": arguments.name,
        "provider": provider,
        "encoders": arguments.encoder,
        "sample": arguments.sample,
        "method": arguments.method,
        "paradigm": arguments.paradigm,
        "config": config,
        "analyses": arguments.analyse,
        "compare": arguments.compare,
        "alias": arguments.alias,
        "alias_always": arguments.alias_always,
        "description": arguments.description,
        "tags": tags,
        "queue": arguments.queue,
        "priority": arguments.priority,
    }
    dataset = None
    # an id is no file name, but a file may be called like an id
    if Path(arguments.source).exists() or not arguments.source.startswith("ds_"):
        inputs.check_file(Path(arguments.source))
        _check_settings(client, fields)
        if arguments.encoder_column:
            fields["encoders"] = _upload_columns(client, arguments)
        else:
            dataset = upload(client, arguments)
    else:
        _refuse_reading(arguments)
    source = None if arguments.encoder_column else dataset or arguments.source
    try:
        if arguments.plan:
            _show_plan(client, arguments, source, fields)
            return
        job = client.jobs.create(dataset=source, **fields)
    except APIStatusError:
        if dataset is not None:
            say(f"The dataset is stored: {dataset.id} can stand for the file next time.")
        raise
    if arguments.wait:
        say(f"Submitted {job.id}. Ctrl-C stops watching, not the job.")
        watch(job, arguments, warned=dataset is not None or bool(arguments.encoder_column))
    elif arguments.json:
        print_json(job.data.raw)
    else:
        say(f"Submitted; watch it with: nmtune jobs wait {job.id}")
        print(job.id)


def _check_settings(client: Client, fields: Mapping[str, Any]) -> None:
    """Let the server refuse settings that cannot be before the file is sent.

    It plans the job on a few example rows that go along, and keeps nothing of them.
    """
    of_texts = fields["provider"] is not None or bool(fields["encoders"])
    asked = submission(
        dataset=None,
        embeddings=None if of_texts else [[float(row), 1.0] for row in range(_N_EXAMPLES)],
        texts=[f"example {row}" for row in range(_N_EXAMPLES)] if of_texts else None,
        labels=[("a", "b")[row % 2] for row in range(_N_EXAMPLES)],
        splits=None,
        merge_similar=False,
        **fields,
    )
    client.send(plan_job(asked.data))


def _upload_columns(client: Client, arguments: Namespace) -> list[Dataset]:
    """Store the file once for each column of embeddings, as datasets of the columns' names."""
    name, stored = arguments.name, []
    for column in arguments.encoder_column:
        arguments.embedding, arguments.name = column, name_of_column(column)
        stored.append(upload(client, arguments))
    arguments.embedding, arguments.name = None, name
    return stored


def _refuse_reading(arguments: Namespace) -> None:
    """A stored dataset was read when it was uploaded: say so, rather than leave options out."""
    given = [
        name for name in (*_READING, "encoder_column") if getattr(arguments, name) not in (None, [])
    ]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ValueError(
            f"{arguments.source} is stored, and {options} say how a file is read: leave them out, "
            "or give the file in place of the id"
        )


def _show_plan(
    client: Client,
    arguments: Namespace,
    source: Dataset | str | None,
    fields: Mapping[str, Any],
) -> None:
    asked = [
        "provider",
        "encoders",
        "sample",
        "method",
        "paradigm",
        "config",
        "analyses",
        "compare",
    ]
    plan = client.jobs.plan(source, **{name: fields[name] for name in asked})
    if arguments.json:
        print_json(plan)
        return
    print(plan)

"""How the command prints a dataset, and what the server warns of."""

from argparse import Namespace
from collections.abc import Mapping

from nmtune_client import Dataset
from nmtune_client._cli.shared.output import print_json, say
from nmtune_client._cli.shared.words import for_command_line
from nmtune_client._show import plain


def warn(dataset: Dataset, arguments: Namespace) -> None:
    """Say the warnings about a dataset that was just stored."""
    for warning in dataset.warnings:
        text = warning.get("message", warning) if isinstance(warning, Mapping) else warning
        say(f"Warning: {for_command_line(str(text), arguments)}")


def show(dataset: Dataset, arguments: Namespace) -> None:
    """Print a dataset and its splits."""
    if arguments.json:
        print_json(dataset.raw)
        return
    facts = [
        ["dataset", dataset.id],
        ["name", dataset.name],
        ["rows", str(dataset.n_rows)],
        ["columns", str(dataset.n_columns)],
        ["classes", str(len(dataset.classes))],
        ["size", plain.size(dataset.size_bytes)],
        ["created", plain.moment(dataset.created_at)],
    ]
    if dataset.expires_at is not None:
        facts.append(["expires", plain.moment(dataset.expires_at)])
    if dataset.parent_id is not None:
        facts.append(["made from", f"{dataset.parent_id}{_changes(dataset)}"])
    splits = [["split", "rows"], *([split.name, str(split.n_rows)] for split in dataset.splits)]
    print(f"{plain.columns(facts)}\n\n{plain.columns(splits, right=(1,))}")


def _changes(dataset: Dataset) -> str:
    """What was changed, in words, and the note."""
    found = dataset.lineage
    if found is None:
        return ""
    counts = (
        (found.n_relabelled, "relabelled"),
        (found.n_dropped, "left out"),
        (found.n_added, "added"),
    )
    words = [f"{n_rows} {what}" for n_rows, what in counts if n_rows]
    return ": ".join(["", ", ".join([*words, *([found.note] if found.note else [])])])

"""Options that several commands have, and how a command is declared."""

import argparse
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

from nmtune_client import Client
from nmtune_client._show import plain

FILE = "dataset file: .parquet, .csv, .json, .jsonl (also .gz, .zst), .safetensors or .npz"

Command: TypeAlias = Callable[[Client, argparse.Namespace], None]
Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

# An action's options are also those of the bare noun, whose default must then stand.
NO_DEFAULT: dict[str, Any] = {"default": argparse.SUPPRESS}


def declare(
    commands: Subparsers,
    shared: argparse.ArgumentParser,
    name: str,
    run: Command,
    text: str,
) -> argparse.ArgumentParser:
    """Add a command, or an action of a noun, which calls `run`."""
    description = f"{text[0].upper()}{text[1:]}."
    parser = commands.add_parser(name, help=text, description=description, parents=[shared])
    parser.set_defaults(command=run)
    return parser


def add_actions(parser: argparse.ArgumentParser) -> Subparsers:
    return parser.add_subparsers(metavar="[ACTION]", required=False)


def add_limit(noun: argparse.ArgumentParser, listing: argparse.ArgumentParser) -> None:
    for parser, default in ((noun, {"default": 20}), (listing, NO_DEFAULT)):
        parser.add_argument(
            "--limit", metavar="N", type=positive(int), help="at most N (20)", **default
        )


def add_columns(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what a table's columns mean."""
    for name, text in (
        ("embedding", "column of lists, or prefix of numbered columns with *, such as 'dim_*'"),
        ("text", "column of texts, which a job's provider embeds (text)"),
        ("label", "column of the labels (label)"),
        ("split", "column of the splits (split)"),
        ("domain", "column of the domains (domain)"),
        ("id", "column of your own row ids, which reports show (id)"),
    ):
        parser.add_argument(f"--{name}", metavar="COLUMN", help=text)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what a table's columns mean, and which splits to make."""
    add_columns(parser)
    parser.add_argument(
        "--group", metavar="COLUMN", help="column of rows that belong together (group)"
    )
    parser.add_argument("--ood-domains", metavar="A,B", help="domains to hold out, or none")
    parser.add_argument(
        "--test-fraction",
        metavar="F",
        type=positive(float),
        help="share of rows held out as test (0.2)",
    )
    parser.add_argument("--split-seed", metavar="N", type=int, help="seed of that split (0)")
    parser.add_argument(
        "--merge-similar",
        action="store_const",
        const=True,
        help="make one of classes, and of domains, that differ in case, spaces or Unicode form",
    )


def add_keep(parser: argparse.ArgumentParser) -> None:
    """Add the option that says when a dataset expires."""
    parser.add_argument(
        "--keep", metavar="TIME", type=time_of, help="when the dataset expires, such as 12h or 7d"
    )


def add_provider(parser: argparse.ArgumentParser) -> None:
    """Add the options of the provider that embeds texts."""
    parser.add_argument(
        "--provider", metavar="P", help="the provider that embeds texts, e.g. local-minilm, openai"
    )
    parser.add_argument("--model", metavar="M", help="the provider's embedding model")
    parser.add_argument(
        "--base-url", metavar="URL", help="the provider's address, if not the usual one"
    )
    parser.add_argument("--dimensions", metavar="N", type=positive(int), help="width to ask for")
    parser.add_argument(
        "--price",
        metavar="X",
        type=positive(float),
        help="price of a million tokens, to count the cost",
    )


def provider_of(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """What embeds texts, out of --provider and what goes with it."""
    if arguments.provider is None:
        return None
    found = {
        "name": arguments.provider,
        "model": arguments.model,
        "base_url": arguments.base_url,
        "dimensions": arguments.dimensions,
        "price_per_million_tokens": arguments.price,
    }
    return {name: value for name, value in found.items() if value is not None}


def add_notes(parser: argparse.ArgumentParser) -> None:
    """Add the options of notes on a version."""
    parser.add_argument("--description", metavar="TEXT", help="a note on the version, for people")
    parser.add_argument(
        "--tag",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a tag of the version; may be repeated",
    )


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """Add the option that says how long to wait."""
    parser.add_argument(
        "--timeout", metavar="S", type=positive(float), help="seconds to wait for the job"
    )


def add_waiting(parser: argparse.ArgumentParser) -> None:
    """Add the options that say for what to wait, and how long."""
    parser.add_argument(
        "--until",
        choices=("end", "head"),
        default="end",
        help="wait for the end of the job (default), or only until its head is published",
    )
    add_timeout(parser)


def time_of(text: str) -> int:
    """Read a length of time such as 7d, as argparse's `type`."""
    try:
        return plain.seconds_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    """Read a number above 0, as argparse's `type`."""
    words, least = ("whole number", "at least 1") if kind is int else ("number", "above 0")

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a {words}, got {text!r}") from None
        if not value > 0:
            raise argparse.ArgumentTypeError(f"must be {least}, got {text}")
        return value

    return read


def moment_of(text: str) -> datetime:
    """A time such as 2026-12-01T08:00Z; without a zone, this machine's."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time such as 2026-12-01T08:00Z"
        ) from error

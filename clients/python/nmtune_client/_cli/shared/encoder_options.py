"""The options that name encoders to compare."""

import argparse
import re
from argparse import Namespace
from typing import Any, Final

NUMBERS: Final = {"dimensions": int, "truncate_dim": int, "price": float}
_WORDS: Final = ("name", "model", "base_url")
_FIELDS: Final = {"price": "price_per_million_tokens"}
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]+")


def add_encoders(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument(
        "--encoder",
        metavar="E",
        action="append",
        type=encoder_of,
        help="an encoder to compare, in place of --provider: local-minilm, "
        "openai/text-embedding-3-small, or these with model=, base_url=, dimensions=, "
        "truncate_dim= and price= after commas; repeat it for 2 to 8",
    )
    parser.add_argument(
        "--encoder-column",
        metavar="COLUMN",
        action="append",
        help="a column of embeddings to compare, in place of --embedding; repeat it for 2 to 8; "
        "the file is sent once for each",
    )
    parser.add_argument(
        "--sample",
        metavar="N",
        type=int,
        help="rank the encoders on N rows; only the chosen one embeds all",
    )


def encoder_of(text: str) -> dict[str, Any]:
    """Read an encoder such as openai/text-embedding-3-small,price=0.02, as argparse's `type`."""
    first, *others = text.split(",")
    name, _, model = first.partition("/")
    found: dict[str, Any] = {"name": name} | ({"model": model} if model else {})
    for part in others:
        key, separator, value = part.partition("=")
        if not separator or key not in (*_WORDS, *NUMBERS):
            known = ", ".join((*_WORDS[1:], *NUMBERS))
            raise argparse.ArgumentTypeError(f"{part!r} is none of {known}, with = and a value")
        try:
            found[_FIELDS.get(key, key)] = NUMBERS[key](value) if key in NUMBERS else value
        except ValueError:
            raise argparse.ArgumentTypeError(f"{key} must be a number, got {value!r}") from None
    return found


def check_encoders(arguments: Namespace) -> None:
    """Raise ValueError for options that do not go together."""
    given = [
        option
        for option, value in (
            ("--provider", arguments.provider),
            ("--encoder", arguments.encoder),
            ("--encoder-column", arguments.encoder_column),
        )
        if value
    ]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} do not go together: leave one out")
    if arguments.encoder_column and arguments.embedding:
        raise ValueError("--encoder-column names the columns of embeddings: leave out --embedding")
    if arguments.sample is not None and not arguments.encoder:
        raise ValueError("--sample needs --encoder: it is how many rows encoders are ranked on")


def name_of_column(column: str) -> str:
    """What the dataset of a column is called."""
    return _NOT_IN_NAMES.sub("-", column).strip("-._")[:64] or "column"

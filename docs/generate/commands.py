"""The page of commands: what the two programs take, from their own parsers."""

import argparse
import importlib
import tomllib
from collections.abc import Callable, Iterator
from unittest.mock import patch

from docs.generate.code import PROJECTS
from docs.generate.text import cell, page, prose, table


def commands_page() -> str:
    """Every command of the two programs, with its arguments and options."""
    parts = [
        "`nmtune` talks to a server; `nmtune-server` is one. Both print this with `--help`.",
    ]
    for project in PROJECTS:
        for program, place in tomllib.loads(project.read_text())["project"]["scripts"].items():
            module, _, name = place.partition(":")
            parser = _parser_of(getattr(importlib.import_module(module), name))
            parts += list(_command(parser, program, level=2))
    return page("Commands", *parts)


class _FoundError(Exception):
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def _parser_of(main: Callable[..., object]) -> argparse.ArgumentParser:
    """The parser that a program makes for itself."""

    def found(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise _FoundError(parser)

    with (
        patch.object(argparse.ArgumentParser, "parse_args", found),
        patch.object(argparse.ArgumentParser, "parse_known_args", found),
    ):
        try:
            main([])
        except _FoundError as caught:
            return caught.parser
    raise RuntimeError("the program did not parse its arguments")


def _command(parser: argparse.ArgumentParser, name: str, *, level: int) -> Iterator[str]:
    yield f"{'#' * min(level, 4)} `{name}`"
    yield prose(parser.description or "")
    actions = [one for one in parser._actions if one.help != argparse.SUPPRESS]
    rows = [
        [_argument(one), cell((one.help or "") % {"default": one.default, "prog": name})]
        for one in actions
        if not isinstance(one, argparse._SubParsersAction | argparse._HelpAction)
    ]
    if rows:
        yield table(["argument", "what"], rows)
    for one in actions:
        if isinstance(one, argparse._SubParsersAction):
            for word, below in one.choices.items():
                yield from _command(below, f"{name} {word}", level=level + 1)


def _argument(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else None
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else None
    value = metavar or choices or action.dest.upper()
    if not action.option_strings:
        return f"`{value}`"
    shown = "" if action.nargs == 0 else f" {value}"
    return f"`{', '.join(action.option_strings)}{shown}`"

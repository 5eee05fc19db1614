"""`nmtune encoders`: encoders that run in the server."""

import argparse
from argparse import Namespace
from dataclasses import asdict
from typing import Any

from nmtune_client._cli.shared.options import Subparsers, add_actions, declare, positive
from nmtune_client._cli.shared.output import print_json, print_list, say
from nmtune_client._encoders.values import HEADER, LocalEncoder, encoder_row
from nmtune_client._sync.client import Client


def add_encoders(commands: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare `nmtune encoders` and its actions."""
    parser = declare(commands, shared, "encoders", list_encoders, "encoders that run in the server")
    actions = add_actions(parser)
    declare(actions, shared, "list", list_encoders, "list the encoders (default)")
    add = declare(actions, shared, "add", add_encoder, "add the model in a directory")
    add.add_argument(
        "directory", metavar="DIR", help="config.json, model.safetensors, tokenizer.json"
    )
    add.add_argument("--name", metavar="N", help="its name (the directory's)")
    add.add_argument("--pooling", choices=("mean", "cls"), help="in place of the model's own")
    add.add_argument(
        "--normalise",
        action=argparse.BooleanOptionalAction,
        help="scale vectors to length 1, or not, in place of the model's own choice",
    )
    add.add_argument("--prefix", metavar="TEXT", help='put before each text, such as "query: "')
    add.add_argument(
        "--max-tokens", metavar="N", type=positive(int), help="where longer texts are cut"
    )
    for name, command, text in (
        ("show", show_encoder, "show an encoder"),
        ("delete", delete_encoder, "delete an encoder that you added"),
    ):
        action = declare(actions, shared, name, command, text)
        action.add_argument("name", metavar="NAME", help="the encoder's name")


def list_encoders(client: Client, arguments: Namespace) -> None:
    """`nmtune encoders`"""
    print_list(
        client.encoders.list(),
        as_json=_json if arguments.json else None,
        header=HEADER,
        row=encoder_row,
        none="There are no encoders.",
    )


def add_encoder(client: Client, arguments: Namespace) -> None:
    """`nmtune encoders add`"""
    added = client.encoders.add(
        arguments.directory,
        name=arguments.name,
        pooling=arguments.pooling,
        normalise=arguments.normalise,
        prefix=arguments.prefix,
        max_tokens=arguments.max_tokens,
        progress=not arguments.json,
    )
    if arguments.json:
        print_json(_json(added))
    else:
        say(
            f"Added {added.name}: {added.family}, {added.n_columns} columns, texts of up to "
            f"{added.max_tokens} tokens. Use it with --provider local --model {added.name}."
        )


def show_encoder(client: Client, arguments: Namespace) -> None:
    """`nmtune encoders show`"""
    found = client.encoders.get(arguments.name)
    if arguments.json:
        print_json(_json(found))
        return
    for name, value in asdict(found).items():
        if value is not None:
            print(f"{name}\t{value}")


def delete_encoder(client: Client, arguments: Namespace) -> None:
    """`nmtune encoders delete`"""
    client.encoders.delete(arguments.name)
    if arguments.json:
        print_json({"name": arguments.name, "deleted": True})
    else:
        say(f"Deleted {arguments.name}.")


def _json(encoder: LocalEncoder) -> dict[str, Any]:
    moment = encoder.created_at
    return asdict(encoder) | {"created_at": None if moment is None else moment.isoformat()}

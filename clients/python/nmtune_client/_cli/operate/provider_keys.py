"""`nmtune provider-keys`: keys of embedding providers, which the server keeps and never shows."""

import argparse
import os
import sys
from argparse import Namespace
from getpass import getpass

from nmtune_client._cli.shared.options import Subparsers, add_actions, declare
from nmtune_client._cli.shared.output import print_json, print_list, say
from nmtune_client._sync.client import Client


def add_provider_keys(commands: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare `nmtune provider-keys` and its actions."""
    parser = declare(
        commands, shared, "provider-keys", list_keys, "keys for providers that embed texts"
    )
    actions = add_actions(parser)
    declare(actions, shared, "list", list_keys, "list the providers that have a key (default)")
    for name, command, text in (
        ("set", set_key, "store a key, which is asked for or read from standard input"),
        ("delete", delete_key, "delete a key"),
    ):
        action = declare(actions, shared, name, command, text)
        action.add_argument(
            "origin", metavar="PROVIDER", help="its name, such as openai, or https://host"
        )
        if name == "set":
            action.add_argument("key", nargs="*", help=argparse.SUPPRESS)  # to say why not
            action.add_argument("--env", metavar="VAR", help="the variable that holds the key")


def set_key(client: Client, arguments: Namespace) -> None:
    """`nmtune provider-keys set`: the key is asked for, piped in, or read from a variable"""
    if arguments.key:
        raise ValueError(
            "a key on the command line stays in the shell's history and is seen by other users: "
            "leave it out, and it is asked for; or pipe it in, or name a variable with --env"
        )
    key = _key(arguments.origin, arguments.env)
    if not key:
        raise ValueError("no key was entered")
    client.provider_keys.set(arguments.origin, key)
    if arguments.json:
        print_json({"origin": arguments.origin, "stored": True})
    else:
        say(f"Stored the key for {arguments.origin}; the server never shows it again.")


def _key(origin: str, variable: str | None) -> str:
    if variable is not None:
        if variable not in os.environ:
            raise ValueError(f"--env {variable}: the environment has no such variable")
        return os.environ[variable].strip()
    if sys.stdin.isatty():
        return getpass(f"Key for {origin}: ").strip()
    return sys.stdin.readline().strip()


def list_keys(client: Client, arguments: Namespace) -> None:
    """`nmtune provider-keys`"""
    print_list(
        client.provider_keys.list(),
        as_json=(lambda origin: {"origin": origin}) if arguments.json else None,
        header=("origin",),
        row=lambda origin: [origin],
        none="No keys are stored. The operator's own, in NMTUNE_PROVIDER_KEYS, are not listed.",
    )


def delete_key(client: Client, arguments: Namespace) -> None:
    """`nmtune provider-keys delete`"""
    client.provider_keys.delete(arguments.origin)
    if arguments.json:
        print_json({"origin": arguments.origin, "deleted": True})
    else:
        say(f"Deleted the key for {arguments.origin}.")

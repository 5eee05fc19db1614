"""`nmtune login` and `logout`: keep a key for a server, for this user alone."""

import argparse
import sys
from argparse import Namespace
from getpass import getpass

from nmtune_client._cli.shared.options import Subparsers, declare
from nmtune_client._cli.shared.output import print_json, say
from nmtune_client._http import api_key
from nmtune_client._sync.client import Client

ON_COMMAND_LINE = (
    "a key on the command line stays in the shell's history and is seen by other users: leave it "
    "out, and it is asked for; or pipe it in"
)


def add_login(commands: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare both."""
    parser = declare(
        commands, shared, "login", login, "keep a key for the server; it is asked for, or piped in"
    )
    parser.add_argument("key", nargs="*", help=argparse.SUPPRESS)  # to say why not
    declare(commands, shared, "logout", logout, "forget the key that is kept for the server")


def login(client: Client, arguments: Namespace) -> None:
    """`nmtune login`: the key is tried before it is kept."""
    if arguments.key:
        raise ValueError(ON_COMMAND_LINE)
    is_terminal = sys.stdin.isatty()
    key = getpass(f"Key for {client.base_url}: ") if is_terminal else sys.stdin.readline()
    if not key.strip():
        raise ValueError("no key was entered")
    with Client(client.base_url, api_key=key) as trying:
        who = trying.identity()
    if not who.keys_on:
        say(f"{client.base_url} wants no keys; nothing was kept.")
        return
    path = api_key.keep(client.base_url, key.strip())
    if arguments.json:
        print_json({"name": who.name, "tenant_id": who.tenant_id, "scopes": who.scopes})
    else:
        say(
            f"The key {who.name} of the tenant {who.tenant_id} may {', '.join(who.scopes)}. It is "
            f"kept in {path} for {client.base_url}."
        )


def logout(client: Client, arguments: Namespace) -> None:
    """`nmtune logout`"""
    had = api_key.forget(client.base_url)
    if arguments.json:
        print_json({"forgotten": had})
    elif had:
        say(f"The key for {client.base_url} is forgotten here; at the server it is still good.")
    else:
        say(f"No key is kept for {client.base_url}.")

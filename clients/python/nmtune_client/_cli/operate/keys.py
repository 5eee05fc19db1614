"""`nmtune keys`: keys of the API, for administrators. A new one is the only thing on stdout."""

import argparse
from argparse import Namespace
from typing import Any

from nmtune_client._cli.shared.options import Subparsers, add_actions, declare, time_of
from nmtune_client._cli.shared.output import print_json, print_list, say
from nmtune_client._keys.rows import KEY_HEADER, key_row
from nmtune_client._keys.values import ApiKey, NewApiKey
from nmtune_client._sync.client import Client

_NEVER = "never"
_MOVED = ("set", "delete")


def add_keys(commands: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare `nmtune keys` and its actions."""
    parser = declare(commands, shared, "keys", list_keys, "keys of the server")
    actions = add_actions(parser)
    declare(actions, shared, "list", list_keys, "list keys, ended ones too (default)")
    create = declare(actions, shared, "create", create_key, "make a key, which is shown once")
    create.add_argument("name", metavar="NAME", help="what the key is for")
    create.add_argument(
        "--scopes",
        required=True,
        type=_words,
        metavar="A,B",
        help="predict, read, write, admin; each holds those before it",
    )
    create.add_argument(
        "--heads", type=_words, metavar="A,B", help="the only heads that it predicts with"
    )
    create.add_argument(
        "--expires",
        type=_lifetime,
        default="90d",
        metavar="TIME",
        help="how long it lives, such as 12h or 365d, or never (90d)",
    )
    rotate = declare(
        actions, shared, "rotate", rotate_key, "make a key's successor; the old one ends soon"
    )
    revoke = declare(actions, shared, "revoke", revoke_key, "end a key now")
    for one in (rotate, revoke):
        one.add_argument("id", metavar="ID", help="the key's id, as `nmtune keys` shows it")
    rotate.add_argument(
        "--overlap",
        type=time_of,
        default="24h",
        metavar="TIME",
        help="how long the old key goes on, 7d at most (24h)",
    )
    revoke.add_argument(
        "--force", action="store_true", help="even if it is the last one with the scope admin"
    )
    for name in _MOVED:
        moved = actions.add_parser(name)
        moved.add_argument("rest", nargs="*")
        moved.set_defaults(command=_say_where)


def create_key(client: Client, arguments: Namespace) -> None:
    """`nmtune keys create`"""
    made = client.keys.create(
        arguments.name,
        scopes=arguments.scopes,
        heads=arguments.heads,
        expires_in_seconds=arguments.expires,
    )
    _show_once(made, arguments)


def rotate_key(client: Client, arguments: Namespace) -> None:
    """`nmtune keys rotate`"""
    _show_once(client.keys.rotate(arguments.id, overlap_seconds=arguments.overlap), arguments)


def revoke_key(client: Client, arguments: Namespace) -> None:
    """`nmtune keys revoke`"""
    key = client.keys.revoke(arguments.id, force=arguments.force)
    if arguments.json:
        print_json(_fields(key))
    else:
        say(f"The key {key.name} is revoked.")


def list_keys(client: Client, arguments: Namespace) -> None:
    """`nmtune keys`"""
    print_list(
        client.keys.list(),
        as_json=_fields if arguments.json else None,
        header=KEY_HEADER,
        row=key_row,
        none="There are no keys. Make one: nmtune keys create NAME --scopes read",
    )


def _say_where(client: Client, arguments: Namespace) -> None:  # noqa: ARG001  one shape
    raise ValueError("keys of providers are at `nmtune provider-keys`; this is about the server's")


def _show_once(made: NewApiKey, arguments: Namespace) -> None:
    if arguments.json:
        print_json(_fields(made) | {"key": made.key})
        return
    print(made.key)
    ends = f"{made.expires_at:%Y-%m-%d}" if made.expires_at else _NEVER
    say(
        f"This is the key {made.name} ({made.id}); it ends {ends}. Keep it now: it cannot be shown "
        "again."
    )


def _fields(key: ApiKey) -> dict[str, Any]:
    ends = key.expires_at.isoformat() if key.expires_at else None
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "scopes": key.scopes,
        "heads": key.heads,
        "expires_at": ends,
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
        "last_used_at": key.last_used_at.isoformat() if key.last_used_at else None,
        "successor_id": key.successor_id,
    }


def _lifetime(text: str) -> int | None:
    return None if text == _NEVER else time_of(text)


def _words(text: str) -> list[str]:
    return [word for word in text.replace(" ", "").split(",") if word]

"""`nmtune audit`: who did what, for administrators."""

import argparse
from argparse import Namespace
from dataclasses import asdict
from typing import Any

from nmtune_client._audit.values import AUDIT_HEADER, AuditEntry, audit_row
from nmtune_client._cli.shared.options import Subparsers, declare, moment_of, positive
from nmtune_client._cli.shared.output import print_list
from nmtune_client._sync.client import Client


def add_audit(commands: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare `nmtune audit`."""
    parser = declare(commands, shared, "audit", list_audit, "who did what, newest first")
    for name, text in (
        ("since", "from 2026-12-01T08:00Z on"),
        ("until", "before this time"),
    ):
        parser.add_argument(f"--{name}", metavar="TIME", type=moment_of, help=text)
    parser.add_argument("--actor", metavar="ID", help="only of this key, operator or worker")
    parser.add_argument("--action", metavar="ACTION", help="only this, such as alias.moved")
    parser.add_argument("--target", metavar="TARGET", help="only on this, such as pets@prod")
    parser.add_argument(
        "--limit", metavar="N", type=positive(int), default=50, help="at most so many (50)"
    )


def list_audit(client: Client, arguments: Namespace) -> None:
    """`nmtune audit`"""
    print_list(
        client.audit.list(
            since=arguments.since,
            until=arguments.until,
            actor=arguments.actor,
            action=arguments.action,
            target=arguments.target,
            limit=arguments.limit,
        ),
        as_json=_fields if arguments.json else None,
        header=AUDIT_HEADER,
        row=audit_row,
        none="Nothing matches.",
    )


def _fields(entry: AuditEntry) -> dict[str, Any]:
    return asdict(entry) | {"at": entry.at.isoformat() if entry.at else None}

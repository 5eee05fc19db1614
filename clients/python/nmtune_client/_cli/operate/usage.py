"""`nmtune usage`: what the tenant uses, and what it may use."""

import argparse
from argparse import Namespace
from dataclasses import asdict

from nmtune_client._cli.shared.options import Subparsers, declare
from nmtune_client._cli.shared.output import print_json, print_list
from nmtune_client._sync.client import Client
from nmtune_client._usage.values import Usage

_HEADER = ("what", "used", "limit")


def add_usage(commands: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare `nmtune usage`."""
    declare(commands, shared, "usage", show_usage, "what is used, and the limits")


def show_usage(client: Client, arguments: Namespace) -> None:
    """`nmtune usage`"""
    usage = client.usage()
    if arguments.json:
        ends = usage.resets_at.isoformat() if usage.resets_at else None
        print_json(asdict(usage) | {"resets_at": ends})
        return
    print_list(_rows(usage), as_json=None, header=_HEADER, row=tuple, none="Nothing is counted.")


def _rows(usage: Usage) -> list[tuple[str, str, str]]:
    """Counts of the month, what there is, and the rates of a key."""
    counted = [(f"{name}, {usage.month}", use) for name, use in usage.monthly.items()]
    rows = [
        (what, f"{use.used:,}", "none" if use.limit is None else f"{use.limit:,}")
        for what, use in [*counted, *usage.stock.items()]
    ]
    rates = [
        (f"{one.name}, {one.unit} a second", "", f"{one.per_second:,g} ({one.burst:,} at once)")
        for one in usage.rates
    ]
    return rows + rates

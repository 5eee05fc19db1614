"""Class shares as the command line takes them: `--class-share NAME=SHARE` for each class."""

import argparse


def add_shares(parser: argparse.ArgumentParser) -> None:
    """Add the option; how its values read, `class_shares` says."""
    parser.add_argument(
        "--class-share",
        metavar="NAME=SHARE",
        action="append",
        default=[],
        help="the share of a class among the rows, if known; repeat it for every class",
    )


def class_shares(pairs: list[str]) -> dict[str, float] | None:
    """The share of each class; None if none was given. ValueError for what is no share."""
    found: dict[str, float] = {}
    for pair in pairs:
        name, equals, share = pair.rpartition("=")
        try:
            value = float(share)
        except ValueError:
            value = None
        if not equals or not name or value is None:
            raise ValueError(f"--class-share {pair}: expected NAME=SHARE, e.g. spam=0.48")
        if name in found:
            raise ValueError(f"--class-share {pair}: {name} has a share already")
        found[name] = value
    return found or None

"""Home of `nmtune heads drift`."""

from argparse import Namespace

from nmtune_client import _text
from nmtune_client._cli.output import print_json, say
from nmtune_client._client import Client


def show_drift(client: Client, arguments: Namespace) -> None:
    """`nmtune heads drift`: the sentence, and the columns whose means moved most"""
    drift = client.heads.drift(
        arguments.head, version=arguments.version, alias=arguments.alias, hours=arguments.hours
    )
    if arguments.json:
        print_json(drift.raw)
        return
    print(drift)
    if drift.columns:
        rows = [["column", "shift", "z"]]
        rows += [
            [str(one["column"]), f"{one['shift']:+.3f}", f"{one['z']:+.1f}"]
            for one in drift.columns
        ]
        print(f"\n{_text.columns(rows, right=(0, 1, 2))}")
    if drift.is_recording is False and "NMTUNE_DRIFT" not in drift.sentence:
        say("Rows are not being counted: start the server with NMTUNE_DRIFT=on.")

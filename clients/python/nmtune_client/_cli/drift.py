"""`nmtune heads drift`: have the predicted rows moved away from the training rows?"""

from argparse import Namespace
from collections.abc import Sequence

from nmtune_client._cli.shared.head_names import name_and_version
from nmtune_client._cli.shared.output import print_json, say
from nmtune_client._heads.drift import DriftWindow
from nmtune_client._show import plain
from nmtune_client._sync.client import Client


def show_drift(client: Client, arguments: Namespace) -> None:
    """`nmtune heads drift`: the sentence, the columns whose means moved most, and the hours"""
    name, named = name_and_version(arguments.head)
    version, alias = arguments.version, arguments.alias
    if named is not None and (version is not None or alias is not None):
        raise ValueError(f"{arguments.head} names a version: leave out --version and --alias")
    if named is not None and named.isdigit():
        version = int(named)
    elif named != "latest":
        alias = named or alias
    drift = client.heads.drift(
        name, version=version, alias=alias, hours=arguments.hours, by=arguments.by
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
        print(f"\n{plain.columns(rows, right=(0, 1, 2))}")
    if drift.windows:
        print(f"\n{_by_hour(drift.windows)}")
    if drift.is_recording is False and "NMTUNE_DRIFT" not in drift.sentence:
        say("The server does not count rows: start it with NMTUNE_DRIFT=on.")


def _by_hour(windows: Sequence[DriftWindow]) -> str:
    rows = [["hour", "rows", "drift", "mean shift", "norm PSI", "class PSI"]]
    rows += [
        [
            plain.moment(one.started_at),
            f"{one.n_rows:,}",
            one.state.replace("_", " "),
            *map(_figure, (one.mean_shift, one.norm_psi, one.class_psi)),
        ]
        for one in windows
    ]
    return plain.columns(rows, right=(1, 3, 4, 5))


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"

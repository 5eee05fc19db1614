"""What keys and limits cost predictions, and what a tenant at its limit costs another one.

Part of serve.py. Alone: python benchmarks/serve_access.py [--seconds 4] [--rounds 7]
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import serve_head
from serve_load import Body, Bystander, Load, ask, free_port, running

import migrations
from store.access import keys, tenants
from store.settings import StoreSettings
from store.store import Store

OTHER = "other"
LIMITS = {
    "NMTUNE_LIMIT_PREDICT_ROWS_PER_SECOND": "1000000",
    "NMTUNE_LIMIT_PREDICTED_ROWS_PER_MONTH": "1000000000000",
}
"""Limits that hold and that nobody reaches."""


def lines(folder: Path, one_row: Body, *, seconds: float, rounds: int) -> list[str]:
    """Requests a second with keys and limits as a share of those without, round by round."""
    own, other = _keys(folder / "data")
    with (
        _api(folder, one_row, NMTUNE_AUTH="off") as off,
        _api(folder, one_row, NMTUNE_AUTH="off") as twin,
        _api(folder, _with(one_row, own), NMTUNE_AUTH="on", **LIMITS) as on,
    ):
        sides: dict[str, Callable[[int], Load]] = {
            "off": lambda n: ask(off, one_row, connections=n, seconds=seconds),
            "twin": lambda n: ask(twin, one_row, connections=n, seconds=seconds),
            "on": lambda n: ask(on, _with(one_row, own), connections=n, seconds=seconds),
        }
        found = [f"{n} connections: {_ratio(sides, n, rounds)}" for n in (64, 1)]
        with Bystander(on, _with(one_row, own)) as alone:
            _ = ask(off, one_row, connections=1, seconds=seconds)  # as much other work
        with Bystander(on, _with(one_row, own)) as beside:
            refused = ask(on, _with(one_row, other), connections=8, seconds=seconds, pause_ms=16)
    found.append(
        f"a tenant at its limit (1 row a second) that asks on: {refused.refused_rate:,.0f} of its "
        f"requests a second are refused; meanwhile another one is answered within "
        f"{beside.p50(200):.1f} ms (p99 {beside.p99(200):.1f} ms), and without that within "
        f"{alone.p50(200):.1f} ms (p99 {alone.p99(200):.1f} ms)"
    )
    return found


def _ratio(sides: dict[str, Callable[[int], Load]], connections: int, rounds: int) -> str:
    """The median share, and the smallest and largest of a round; the twin's tells the noise."""
    shares: dict[str, list[float]] = {"on": [], "twin": []}
    rates = []
    for number in range(rounds):
        order = sorted(sides, key=lambda side: (list(sides).index(side) + number) % len(sides))
        rate = {side: sides[side](connections).rate for side in order}
        rates.append(rate["off"])
        for side, of_side in shares.items():
            of_side.append(rate[side] / rate["off"])
    on, twin = (
        f"{statistics.median(one):.3f} ({min(one):.3f} to {max(one):.3f})"
        for one in shares.values()
    )
    return (
        f"{on} of the {statistics.median(rates):,.0f} requests/s without keys, where a second "
        f"server without keys has {twin}: medians and ranges of {rounds} rounds, in turns"
    )


def _keys(data_dir: Path) -> tuple[str, str]:
    """A key of the tenant that has the head, and one of another tenant with a limit of a row."""
    store = Store.open(
        StoreSettings(data_dir=data_dir, database_url=f"sqlite:///{data_dir / 'nmtune.db'}")
    )
    with store.database.begin() as tx:
        tenants.create(tx, OTHER)
        tenants.set_limits(tx, OTHER, {"predict_rows_per_second": 0.1}, forget=())
        made = [
            keys.create(
                tx,
                tenant,
                name="bench",
                scopes=["predict"],
                heads=None,
                keep_seconds=None,
                created_by="benchmark",
            ).secret
            for tenant in (serve_head.DEFAULT_TENANT, OTHER)
        ]
    store.close()
    return made[0], made[1]


def _with(body: Body, key: str) -> Body:
    return replace(body, headers={**body.headers, "Authorization": f"Bearer {key}"})


@contextmanager
def _api(folder: Path, probe: Body, **environment: str) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "standalone", "api", "--port", str(port)]
    command += ["--data-dir", str(folder / "data")]
    with running(
        command, environment=environment, log=folder / "log", probe=url + probe.path, body=probe
    ):
        yield url


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    from serve import ours

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["BENCH_DIR"] = name
        (folder / "data").mkdir()
        migrations.upgrade(f"sqlite:///{folder / 'data' / 'nmtune.db'}")
        serve_head.publish(serve_head.make(), folder / "data")
        print("\n".join(lines(folder, ours(1), seconds=given.seconds, rounds=given.rounds)))


if __name__ == "__main__":
    main()

"""`client.usage()` and `nmtune usage`."""

import json
from collections.abc import Callable

import pytest
from nmtune_client import Client, Use

from tests.clients.conftest import FaultServer

USAGE = {
    "tenant_id": "lab",
    "month": "2026-12",
    "resets_at": "2027-01-01T00:00:00Z",
    "monthly": {
        "predicted_rows": {"used": 125_000, "limit": 1_000_000},
        "training_seconds": {"used": 412, "limit": None},
    },
    "stock": {"heads": {"used": 5, "limit": 3, "new": 1}},
    "rates": [{"name": "read", "unit": "requests", "per_second": 2.5, "burst": 25}],
    "more": "of a newer server",
}


@pytest.fixture
def asked(server: FaultServer) -> FaultServer:
    server.on("GET", "/usage", server.ok(USAGE))
    return server


def test_usage_is_read(asked: FaultServer, client: Client) -> None:
    assert asked
    usage = client.usage()
    assert usage.monthly["predicted_rows"] == Use(used=125_000, limit=1_000_000)
    assert usage.monthly["predicted_rows"].left == 875_000
    assert usage.monthly["training_seconds"].left is None
    assert usage.stock["heads"].left == 0
    assert usage.resets_at is not None
    assert (usage.resets_at.year, usage.rates[0].burst) == (2027, 25)


def test_the_command_shows_a_table_or_json(
    asked: FaultServer, nmtune: Callable[..., tuple[int, str, str]]
) -> None:
    assert asked
    status, out, _ = nmtune("usage")
    assert status == 0
    for line in (
        ("predicted_rows, 2026-12", "125,000", "1,000,000"),
        ("training_seconds, 2026-12", "412", "none"),
        ("heads", "5", "3"),
        ("read, requests a second", "2.5 (25 at once)"),
    ):
        assert any(all(cell in row for cell in line) for row in out.splitlines()), line
    status, out, _ = nmtune("usage", "--json")
    shown = json.loads(out)
    assert shown["monthly"]["predicted_rows"] == {"used": 125_000, "limit": 1_000_000}
    assert shown["resets_at"] == "2027-01-01T00:00:00+00:00"

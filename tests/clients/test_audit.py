"""`client.audit` and `nmtune audit`."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from nmtune_client import AsyncClient, AuditEntry, Client

ENTRY: dict[str, Any] = {
    "id": "aud_1",
    "at": "2026-12-01T09:30:00Z",
    "actor_kind": "key",
    "actor_id": "key_1",
    "action": "alias.moved",
    "target": "pets@prod",
    "outcome": "done",
    "request_id": "req_1",
    "address": "10.0.3.7",
    "details": {"before": 3, "after": 4},
}
OTHER = ENTRY | {"id": "aud_2", "actor_kind": "worker", "actor_id": "w-1", "outcome": "unchanged"}


def pages(server: Any) -> None:
    server.on(
        "GET",
        "/audit",
        server.ok({"items": [ENTRY], "next_cursor": "c"}),
        server.ok({"items": [OTHER], "next_cursor": None}),
    )


def test_acts_come_page_by_page_with_their_times(server: Any) -> None:
    pages(server)
    since = datetime(2026, 12, 1, tzinfo=UTC)
    with Client(server.url) as client:
        found = list(client.audit.list(since=since, action="alias.moved"))
    assert [one.id for one in found] == ["aud_1", "aud_2"]
    assert isinstance(found[0], AuditEntry)
    assert found[0].at == datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
    assert found[0].details == {"before": 3, "after": 4}
    first, second = (one.query for one in server.seen("GET", "/audit"))
    assert first == {"since": "2026-12-01T00:00:00+00:00", "action": "alias.moved"}
    assert second == {**first, "cursor": "c"}


def test_the_asynchronous_client_lists_too(server: Any) -> None:
    pages(server)

    async def listed() -> list[str]:
        async with AsyncClient(server.url) as client:
            return [one.id async for one in client.audit.list(limit=2)]

    assert asyncio.run(listed()) == ["aud_1", "aud_2"]


def test_a_time_without_its_zone_is_refused_before_anything_is_sent(server: Any) -> None:
    with Client(server.url) as client, pytest.raises(ValueError, match="until needs a time zone"):
        client.audit.list(until=datetime(2026, 12, 1))  # noqa: DTZ001
    assert server.seen("GET", "/audit") == []


def test_the_command(server: Any, nmtune: Any) -> None:
    pages(server)
    code, out, _ = nmtune("audit", "--target", "pets@prod", "--since", "2026-12-01T08:00Z")
    assert code == 0
    header, first, second = out.splitlines()
    assert header.split() == ["at", "actor", "action", "target", "details"]
    assert first.endswith("key_1       alias.moved  pets@prod  before=3, after=4")
    assert second.endswith("worker w-1  alias.moved  pets@prod  unchanged, before=3, after=4")
    assert server.seen("GET", "/audit")[0].query["target"] == "pets@prod"


def test_the_command_prints_json(server: Any, nmtune: Any) -> None:
    server.on("GET", "/audit", server.ok({"items": [ENTRY], "next_cursor": None}))
    code, out, _ = nmtune("audit", "--json")
    [told] = json.loads(out)
    assert code == 0
    assert told.pop("at") == "2026-12-01T09:30:00+00:00"
    assert told.items() <= ENTRY.items()


def test_nothing_is_said_in_words(server: Any, nmtune: Any) -> None:
    server.on("GET", "/audit", server.ok({"items": [], "next_cursor": None}))
    assert nmtune("audit") == (0, "", "Nothing matches.\n")
    assert nmtune("audit", "--since", "soon")[0] == 2

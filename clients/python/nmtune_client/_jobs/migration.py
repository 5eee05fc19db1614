"""The requests that take a head to another encoder, and what they send; no I/O."""

from collections.abc import Mapping
from typing import Any

from nmtune_client._datasets.values import Dataset
from nmtune_client._heads.arguments import notes
from nmtune_client._http.calls import body, parser, post_headers
from nmtune_client._http.wire import Call, Route
from nmtune_client._jobs.plan import Plan
from nmtune_client._jobs.values import JobData

_MIGRATE_HEAD = Route("POST", "/heads/{name}/migrate")


def migration(
    *,
    provider: str | Mapping[str, Any],
    version: int | str,
    bridge: str | Dataset | None = None,
    force: bool = False,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    queue: str | None = None,
    priority: int | None = None,
) -> dict[str, Any]:
    """What is sent: all that was given."""
    data: dict[str, Any] = {
        "version": str(version),
        "provider": {"name": provider} if isinstance(provider, str) else dict(provider),
        "bridge": bridge.id if isinstance(bridge, Dataset) else bridge,
        "force": force or None,
        "queue": queue,
        "priority": priority,
    }
    return {key: one for key, one in data.items() if one is not None} | notes(description, tags)


def migrate_head(
    name: str, data: Mapping[str, object], *, idempotency_key: str | None = None
) -> Call[JobData]:
    """Submit a migration."""
    return Call(
        route=_MIGRATE_HEAD,
        ids={"name": name},
        parse=parser(JobData.from_json),
        headers=post_headers("application/json", idempotency_key),
        content=body(data),
    )


def plan_migration(name: str, data: Mapping[str, object]) -> Call[Plan]:
    """Ask what a migration would do and cost; nothing is stored."""
    return Call(
        route=_MIGRATE_HEAD,
        ids={"name": name},
        parse=lambda answer: Plan(answer.json()),
        params={"plan": "true"},
        headers={"Content-Type": "application/json"},
        content=body(data),
    )

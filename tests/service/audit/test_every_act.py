"""Every route that changes something leaves a row that says who did what.

The routes are found by walking the OpenAPI document: a new one fails until an act of it is here, or
a reason why it leaves none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import pytest

from service.http.layers.gate import SAFE_METHODS
from service.webhooks import delivery_routes
from store import transitions
from store.access import audit
from store.access.audit import Entry
from store.access.keys import NewKey
from store.store import Store
from tests.service.access.asking import Asking
from tests.service.access.test_two_tenants import filled, operations
from tests.service.candidate_jobs import CandidateJob
from tests.service.in_process import claim
from tests.store.access.access_calls import make_key
from tests.support.encoders import archive as encoder_archive
from tests.support.files.arrays import clouds, npz

# Why these leave no row.
LEAVES_NONE = {
    "POST /predict": "asks, and changes nothing; only usage and drift count it",
    "POST /v2/models/{name}/infer": "as POST /predict",
    "POST /v2/models/{name}/versions/{version}/infer": "as POST /predict",
    "POST /heads/{name}/select": "reads a dataset and changes nothing; only usage counts texts",
    "PATCH /uploads/{upload_id}": "a part of an upload, whose begin and dataset have rows",
}
TUS = {"Tus-Resumable": "1.0.0"}
NPZ = {"Content-Type": "application/x-npz"}
URL = "https://8.8.8.8/hook?token=receivers-secret"
X = np.random.default_rng(0).normal(size=(8, 3)).round(3).tolist()


@dataclass(frozen=True)
class Act:
    """A request that is good, and what the audit must say of it."""

    action: str
    target: str
    """With {names} of what the world has, or {answer} for the id in the answer."""
    brings: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    keeps: str | None = None
    """Under which name the answer's id is known to later acts."""


# In this order: what an act makes, a later one changes, and the last ones delete.
ACTS = {
    "POST /datasets": Act(
        "dataset.created",
        "{answer}",
        {"content": npz(clouds()), "params": {"name": "pets"}, "headers": NPZ},
        {"name": "pets", "parent_id": None},
        keeps="dataset_id",
    ),
    "PATCH /datasets/{dataset_id}": Act(
        "dataset.kept", "{dataset_id}", {"json": {"keep_seconds": 9000}}, {"keep_seconds": 9000}
    ),
    "POST /datasets/{dataset_id}/corrections": Act(
        "dataset.created",
        "{answer}",
        {"json": {"drop": [{"split": "train", "row": 0}]}},
        {"parent_id": "{dataset_id}"},
    ),
    "POST /datasets/{dataset_id}/rows": Act(
        "dataset.created",
        "{answer}",
        {"json": {"embeddings": X[:1], "labels": ["cat"]}},
        {"parent_id": "{dataset_id}"},
    ),
    "POST /uploads": Act(
        "upload.created",
        "{answer}",
        {"headers": TUS | {"Upload-Length": "10"}},
        {"size_bytes": 10},
        keeps="upload_id",
    ),
    "DELETE /uploads/{upload_id}": Act("upload.deleted", "{upload_id}", {"headers": TUS}),
    "POST /jobs": Act(
        "job.submitted",
        "{answer}",
        {"json": {"name": "cars", "dataset_id": "{dataset_id}", "method": "nmtune"}},
        {"name": "cars", "dataset_id": "{dataset_id}", "method": "nmtune"},
        keeps="queued_id",
    ),
    "POST /jobs/{queued_id}/cancel": Act(
        "job.cancelled", "{queued_id}", details={"status": "cancelled"}
    ),
    "POST /jobs/{job_id}/publish": Act(
        "head.published", "pets@2", {"json": {"candidate": "mlp"}}, {"candidate": "mlp"}
    ),
    "PATCH /heads/{name}/versions/{version}": Act(
        "head.described",
        "pets@1",
        {"json": {"description": "what the label cat means"}},
        {"fields": ["description"]},
    ),
    "PUT /heads/{name}/aliases/{alias}": Act(
        "alias.moved", "pets@prod", {"json": {"version": 2}}, {"before": 1, "after": 2}
    ),
    "POST /heads/{name}/aliases/{alias}/rollback": Act(
        "alias.rolled_back", "pets@prod", details={"before": 2, "after": 1}
    ),
    "POST /predictions": Act(
        "prediction.submitted",
        "{answer}",
        {"json": {"dataset_id": "{dataset_id}", "head": "pets@1", "format": "csv"}},
        {"head": "pets@1"},
        keeps="prediction_id",
    ),
    "DELETE /jobs/{prediction_id}/output": Act("output.deleted", "{prediction_id}"),
    "PUT /provider-keys": Act(
        "provider_key.stored",
        "https://api.openai.com",
        {"json": {"origin": "https://api.openai.com", "key": "sk-not-to-be-seen"}},
    ),
    "DELETE /provider-keys": Act(
        "provider_key.deleted",
        "https://api.openai.com",
        {"params": {"origin": "https://api.openai.com"}},
    ),
    "PUT /encoders/{encoder_name}": Act(
        "encoder.added",
        "{encoder_name}",
        {"content": encoder_archive(), "headers": {"Content-Type": "application/x-tar"}},
    ),
    "DELETE /encoders/{encoder_name}": Act("encoder.deleted", "{encoder_name}"),
    "POST /keys": Act(
        "key.made",
        "{answer}",
        {"json": {"name": "web", "scopes": ["read"]}},
        {"name": "web", "scopes": ["read"]},
        keeps="key_id",
    ),
    "POST /keys/{key_id}/rotate": Act(
        "key.rotated", "{key_id}", {"json": {"overlap_seconds": 60}}, {"overlap_seconds": 60}
    ),
    "DELETE /keys/{key_id}": Act("key.revoked", "{key_id}", details={"name": "web"}),
    "POST /webhooks": Act(
        "webhook.created",
        "{answer}",
        {"json": {"url": URL, "events": ["job.failed"]}},
        {"host": "8.8.8.8", "events": ["job.failed"]},
        keeps="webhook_id",
    ),
    "PATCH /webhooks/{webhook_id}": Act(
        "webhook.changed",
        "{webhook_id}",
        {"json": {"description": "the team's"}},
        {"fields": ["description"], "enabled": None},
    ),
    "POST /webhooks/{webhook_id}/rotate": Act("webhook.rotated", "{webhook_id}"),
    "POST /webhooks/{webhook_id}/ping": Act("webhook.pinged", "{webhook_id}", keeps="delivery_id"),
    "POST /webhooks/{webhook_id}/replay": Act(
        "webhook.replayed",
        "{webhook_id}",
        {"params": {"since": "2026-01-01T00:00:00Z"}},
        {"n_deliveries": 0},
    ),
    "POST /deliveries/{delivery_id}/replay": Act("delivery.replayed", "{delivery_id}"),
    "DELETE /webhooks/{webhook_id}": Act("webhook.deleted", "{webhook_id}"),
    "DELETE /heads/{name}/aliases/{alias}": Act(
        "alias.deleted", "pets@prod", details={"before": 1}
    ),
    "DELETE /heads/{name}/versions/{version}": Act("head.deleted", "pets@1"),
    "DELETE /heads/{name}": Act("head.deleted", "pets@2"),
    "DELETE /datasets/{spare_id}": Act("dataset.deleted", "{spare_id}"),
}
ADAPTS = "POST /heads/{name}/adapt"
MIGRATES = "POST /heads/{name}/migrate"
"""Its row is in tests/service/migration: it needs a head that was trained on texts."""
SESSIONS = {"POST /session": "session.opened", "DELETE /session": "session.closed"}
SECRETS = ("sk-not-to-be-seen", "receivers-secret", "nmk_", "whsec_", "what the label cat means")


def entries(store: Store) -> list[Entry]:
    with store.database.read() as tx:
        return list(audit.page(tx, "default", limit=1000).items)


class World:
    """What there is to act on, and the client that acts."""

    def __init__(self, ask: Asking, store: Store, key: NewKey, ids: dict[str, str]) -> None:
        self.ask, self.store, self.key, self.ids = ask, store, key, ids
        self._before: dict[str, Callable[[], None]] = {
            "DELETE /jobs/{prediction_id}/output": self._deliver
        }

    def do(self, name: str, act: Act) -> tuple[httpx.Response, list[Entry]]:
        """The answer, and the rows that it left."""
        self._before.get(name, lambda: None)()
        method, _, path = name.partition(" ")
        known = {one.id for one in entries(self.store)}
        brings = filled(dict(act.brings), self.ids)
        answer = self.ask.with_key(self.key.secret, method, filled(path, self.ids), **brings)
        assert answer.status_code < 300, (name, answer.text)
        made = answer.json().get("id", "") if answer.content else ""
        self.ids["answer"] = made
        if act.keeps is not None:
            self.ids[act.keeps] = made
        return answer, [one for one in entries(self.store) if one.id not in known]

    def _deliver(self) -> None:
        claimed = claim(self.store, self.ids["prediction_id"])
        ref = self.store.artifacts.put_bytes("default", b"id,label\n")
        output = {"format": "csv", "n_rows": 0, "size_bytes": ref.size_bytes}
        with self.store.database.begin() as tx:
            transitions.deliver(tx, claimed, output_sha256=ref.sha256, output=output)


@pytest.fixture
def world(
    ask: Asking, store: Store, admin: NewKey, trained: bytes, monkeypatch: pytest.MonkeyPatch
) -> World:
    monkeypatch.setattr(delivery_routes, "PING_SECONDS", 0.0)  # no courier is there to wait for
    job = CandidateJob(heads={"nmtune": trained, "mlp": trained}).run(store, alias="prod")
    spare = ask.with_key(
        admin.secret, "POST", "/datasets?name=spare", content=npz(clouds(seed=9)), headers=NPZ
    ).json()["id"]
    ids = {"job_id": job.id, "name": "pets", "version": "1", "alias": "prod", "spare_id": spare}
    ids["encoder_name"] = "mine"
    return World(ask, store, admin, ids)


def pattern(name: str) -> str:
    """The route of an act whose path names its own things."""
    for own, of_route in (
        ("queued_id", "job_id"),
        ("prediction_id", "job_id"),
        ("spare_id", "dataset_id"),
    ):
        name = name.replace(own, of_route)
    return name


def test_every_unsafe_route_is_here_or_says_why_not(ask: Asking) -> None:
    unsafe = {f"{method} {path}" for method, path in operations(ask) if method not in SAFE_METHODS}
    assert len(unsafe) > 30
    assert unsafe == {pattern(name) for name in ACTS} | set(LEAVES_NONE) | set(SESSIONS) | {
        ADAPTS,
        MIGRATES,
    }


def test_an_adaptation_that_publishes_leaves_its_rows(world: World) -> None:
    found = clouds(n_rows=400, seed=5)
    swapped = ["dog" if label == 0 else "cat" for label in found["test_y"]]
    body = {"embeddings": found["test_x"].tolist(), "labels": swapped, "alias": "prod"}
    _, left = world.do(ADAPTS, Act("head.adapted", "pets@2", {"json": body}))
    acts = {one.action: one for one in left}
    assert acts.keys() == {"head.adapted", "alias.moved"}
    assert (acts["head.adapted"].target, acts["alias.moved"].target) == ("pets@2", "pets@prod")
    assert acts["head.adapted"].details == {"from_version": 1}
    assert acts["alias.moved"].details == {"before": 1, "after": 2}
    assert {one.actor_id for one in left} == {world.key.key.id}


def test_every_act_leaves_a_row_that_says_who_did_what(world: World) -> None:
    for name, act in ACTS.items():
        answer, left = world.do(name, act)
        mine = [one for one in left if one.action == act.action]
        assert [one.target for one in mine] == [filled(act.target, world.ids)], (name, left)
        [entry] = mine
        assert (entry.actor_kind, entry.actor_id) == ("key", world.key.key.id), name
        assert entry.request_id == answer.headers["x-request-id"], name
        assert (entry.outcome, entry.address) == ("done", "127.0.0.1"), name
        assert entry.details.items() >= filled(dict(act.details), world.ids).items(), name
    shown = str(entries(world.store))
    assert not [secret for secret in SECRETS if secret in shown]


def test_sessions_leave_rows_of_who_they_are_of(ask: Asking, store: Store, admin: NewKey) -> None:
    opened = ask.post("/session", json={"key": admin.secret})
    token = opened.headers["set-cookie"].partition("=")[2].partition(";")[0]
    made = ask.with_cookie(token, "POST", "/keys", json={"name": "web", "scopes": ["read"]})
    assert made.status_code == 201, made.text
    assert ask.with_cookie(token, "DELETE", "/session").status_code == 204
    last, middle, first = entries(store)
    assert [last.action, middle.action, first.action] == [
        "session.closed", "key.made", "session.opened",
    ]  # fmt: skip
    assert last.target == first.target != ""
    assert {(one.actor_kind, one.actor_id) for one in (last, middle, first)} == {
        ("session", admin.key.id)
    }
    assert token not in str(entries(store))
    assert ask.delete("/session").status_code == 204  # there was none, so nothing was done
    assert len(entries(store)) == 3


def test_what_changes_nothing_leaves_nothing_or_says_so(world: World) -> None:
    store, key = world.store, world.key.secret
    n_before = len(entries(store))
    body = {"name": "cars", "embeddings": X, "labels": ["a", "b"] * 4}
    for _ in range(2):  # the second is answered as the first and does nothing
        headers = {"Idempotency-Key": "same"}
        assert world.ask.with_key(key, "POST", "/jobs", json=body, headers=headers)
    assert [one.action for one in entries(store)[:2]] == ["job.submitted", "dataset.created"]
    n = len(entries(store))
    assert n == n_before + 2
    for path in ("/jobs?plan=true", "/jobs"):
        refused = {**body, "name": "not a name"} if path == "/jobs" else body
        world.ask.with_key(key, "POST", path, json=refused)
    world.ask.with_key(make_key(store, scopes=["read"]).secret, "POST", "/jobs", json=body)
    world.ask.with_key("nmk_wrong", "POST", "/jobs", json=body)
    assert len(entries(store)) == n
    ended = make_key(store, scopes=["read"]).key.id
    job = world.ids["job_id"]
    for method, path in (("DELETE", f"/keys/{ended}"), ("POST", f"/jobs/{job}/cancel")):
        for _ in range(2):
            assert world.ask.with_key(key, method, path).status_code == 200
    assert [(one.action, one.outcome) for one in entries(store)[:4]] == [
        ("job.cancelled", "unchanged"),  # it had succeeded
        ("job.cancelled", "unchanged"),
        ("key.revoked", "unchanged"),
        ("key.revoked", "done"),
    ]
    for _ in range(2):
        world.ask.with_key(key, "PUT", "/heads/pets/aliases/prod", json={"version": 1})
    assert [one.outcome for one in entries(store)[:2]] == ["unchanged", "unchanged"]


@pytest.mark.parametrize("name", ["POST /datasets", "PUT /heads/{name}/aliases/{alias}"])
def test_an_act_and_its_row_are_committed_together_or_not_at_all(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.do("POST /jobs/{job_id}/publish", ACTS["POST /jobs/{job_id}/publish"])
    before = entries(world.store)

    def fails(*_args: object, **_details: object) -> None:
        raise RuntimeError("the audit cannot be written")

    monkeypatch.setattr(audit, "note", fails)
    with pytest.raises((RuntimeError, AssertionError)):  # the test's, or that of a 500
        world.do(name, ACTS[name])
    monkeypatch.undo()
    assert entries(world.store) == before
    key = world.key.secret
    assert world.ask.with_key(key, "GET", "/heads/pets").json()["aliases"] == {"prod": 1}
    listed = world.ask.with_key(key, "GET", "/datasets").json()["items"]
    assert [one["name"] for one in listed if one["name"] == "spare"] == ["spare"]
    assert len(listed) == 2  # the job's own, and the spare one

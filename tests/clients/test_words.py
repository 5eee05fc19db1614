"""SDK and API have one word for one thing, and what the SDK returns shows itself in short."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter
from nmtune_client import (
    AsyncClient,
    AsyncJob,
    Client,
    Dataset,
    Delivery,
    Drift,
    Event,
    Head,
    HeadComparison,
    HeadVersion,
    Job,
    JobData,
    Progress,
    Report,
    Webhook,
)
from nmtune_client._jobs.plan import Plan
from nmtune_client._sync.stored_dataset import StoredDataset
from nmtune_client._webhooks.values import Attempt

from service.app import create_app
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    settings = ServiceSettings(data_dir=tmp_path_factory.mktemp("words"))
    store = Store.open(settings)
    try:
        return create_app(settings, store=store, queue=LocalQueue()).openapi()
    finally:
        store.close()


CLIENT = Client("http://127.0.0.1:9")

METHODS: dict[tuple[str, str], Callable[..., Any]] = {
    ("post", "/datasets"): CLIENT.datasets.upload,
    ("get", "/datasets"): CLIENT.datasets.list,
    ("patch", "/datasets/{dataset_id}"): CLIENT.datasets.keep,
    ("get", "/datasets/{dataset_id}/rows"): StoredDataset.rows,
    ("post", "/datasets/{dataset_id}/rows"): StoredDataset.append,
    ("post", "/datasets/{dataset_id}/corrections"): StoredDataset.correct,
    ("post", "/jobs"): CLIENT.jobs.create,
    ("get", "/jobs"): CLIENT.jobs.list,
    ("post", "/predictions"): CLIENT.jobs.predict,
    ("get", "/jobs/{job_id}/events"): Job.events,
    ("post", "/jobs/{job_id}/publish"): CLIENT.jobs.publish,
    ("get", "/heads"): CLIENT.heads.list,
    ("get", "/heads/{name}"): CLIENT.heads.get,
    ("delete", "/heads/{name}"): CLIENT.heads.delete,
    ("get", "/heads/{name}/versions/{version}"): CLIENT.heads.version,
    ("patch", "/heads/{name}/versions/{version}"): CLIENT.heads.update,
    ("delete", "/heads/{name}/versions/{version}"): CLIENT.heads.delete,
    ("put", "/heads/{name}/aliases/{alias}"): CLIENT.heads.set_alias,
    ("delete", "/heads/{name}/aliases/{alias}"): CLIENT.heads.delete_alias,
    ("post", "/heads/{name}/aliases/{alias}/rollback"): CLIENT.heads.rollback,
    ("get", "/heads/{name}/compare"): CLIENT.heads.compare,
    ("get", "/heads/{name}/versions/{version}/export"): CLIENT.heads.export,
    ("get", "/heads/{name}/drift"): CLIENT.heads.drift,
    ("post", "/predict"): CLIENT.predict,
    ("put", "/provider-keys"): CLIENT.provider_keys.set,
    ("delete", "/provider-keys"): CLIENT.provider_keys.delete,
    ("post", "/webhooks"): CLIENT.webhooks.create,
    ("patch", "/webhooks/{webhook_id}"): CLIENT.webhooks.update,
    ("get", "/webhooks/{webhook_id}/deliveries"): CLIENT.webhooks.deliveries,
    ("post", "/webhooks/{webhook_id}/replay"): CLIENT.webhooks.replay_failed,
    ("post", "/deliveries/{delivery_id}/replay"): CLIENT.webhooks.replay,
}
# What the SDK does for its user: pages, parts, the form of rows, and asking for a plan.
DONE_BY_THE_SDK = {"cursor", "upload", "shape", "dtype", "plan"}
# Python keeps the word for itself.
BY_ANOTHER_NAME = {"from": "from_"}


def request_fields(api: dict[str, Any], method: str, path: str) -> set[str]:
    """The query's, path's and JSON body's fields of a route."""
    route = api["paths"][path][method]
    found = {one["name"] for one in route.get("parameters", []) if one["in"] in ("query", "path")}
    content = route.get("requestBody", {}).get("content", {})
    reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    schema = api["components"]["schemas"].get(reference.rpartition("/")[2], {})
    found |= set(schema.get("properties", {}))
    # of an event's job and a dataset's own method: the object is the id
    return {BY_ANOTHER_NAME.get(name, name) for name in found - DONE_BY_THE_SDK}


@pytest.mark.parametrize("route", METHODS, ids=" ".join)
def test_every_field_of_a_request_is_an_argument(api: dict[str, Any], route: Any) -> None:
    arguments = set(inspect.signature(METHODS[route]).parameters)
    missing = request_fields(api, *route) - arguments
    if METHODS[route] is Job.events:
        missing -= {"job_id", "limit"}
    if METHODS[route].__qualname__.startswith("StoredDataset."):
        missing -= {"dataset_id"}
    assert missing == set()


SHAPES: dict[str, type] = {
    "Dataset": Dataset,
    "Job": JobData,
    "Event": Event,
    "Head": Head,
    "HeadVersion": HeadVersion,
    "HeadDrift": Drift,
    "HeadComparison": HeadComparison,
    "WebhookWithSecret": Webhook,
    "DeliveryWithLog": Delivery,
    "Attempt": Attempt,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_field_of_an_answer_is_an_attribute(api: dict[str, Any], shape: str) -> None:
    cls = SHAPES[shape]
    known = {one.name for one in fields(cls)} | set(dir(cls))
    answered = set(api["components"]["schemas"][shape]["properties"])
    assert {BY_ANOTHER_NAME.get(name, name) for name in answered} - known == set()


@pytest.mark.parametrize("job", [Job, AsyncJob])
def test_a_job_has_every_field_of_the_answer_itself(api: dict[str, Any], job: type) -> None:
    assert set(api["components"]["schemas"]["Job"]["properties"]) - set(dir(job)) == set()


def test_a_plan_has_every_field_as_attribute(api: dict[str, Any]) -> None:
    answer = dict.fromkeys(api["components"]["schemas"]["Plan"]["properties"])
    plan = Plan(answer)
    for name in answer:
        assert getattr(plan, name) is None
    assert plan == answer
    with pytest.raises(AttributeError, match="a plan has no frobs"):
        _ = plan.frobs


def test_a_stored_dataset_goes_by_either_word(server: Any, job_json: Callable[..., Any]) -> None:
    server.on("POST", "/jobs", server.ok(job_json(), status=202))
    server.on("POST", "/predictions", server.ok(job_json(kind="prediction"), status=202))
    stored = Dataset(id="ds_1", name="pets", n_rows=1, n_columns=1)
    with Client(server.url) as client:
        for given in ({"dataset": "ds_1"}, {"dataset": stored}, {"dataset_id": "ds_1"}):
            client.jobs.create(name="pets", **given)
            client.jobs.plan(**given)
            client.jobs.predict(**given, head="pets")
        client.jobs.plan("ds_1")
        client.jobs.predict(stored, head="pets", wait=5)
        with pytest.raises(ValueError, match="name two datasets"):
            client.jobs.create(name="pets", dataset="ds_1", dataset_id="ds_2")
        with pytest.raises(ValueError, match="dataset_id="):
            client.jobs.predict(head="pets")
        with pytest.raises(ValueError, match="dataset_id="):
            client.jobs.plan()
    assert {request.json["dataset_id"] for request in server.requests} == {"ds_1"}
    assert server.requests[-1].headers["prefer"] == "wait=5"


def test_description_and_tags_are_sent_and_noted(server: Any, job_json: Callable[..., Any]) -> None:
    server.on("POST", "/jobs", server.ok(job_json(description="x", tags={"a": "b"}), status=202))
    version = {"name": "pets", "version": 3, "description": "x", "tags": {"a": "b"}}
    server.on("PATCH", "/heads/pets/versions/3", server.ok(version))
    with Client(server.url) as client:
        job = client.jobs.create(name="pets", dataset_id="ds_1", description="x", tags={"a": "b"})
        assert (job.description, job.tags) == ("x", {"a": "b"})
        noted = client.heads.update("pets", 3, description="x", tags={"a": "b"})
        assert (noted.description, noted.tags) == ("x", {"a": "b"})
        client.heads.update("pets", 3, description="")
        client.heads.update("pets", 3, tags={})
    bodies = [request.json for request in server.requests]
    assert bodies[0] == {
        "name": "pets",
        "dataset_id": "ds_1",
        "description": "x",
        "tags": {"a": "b"},
    }
    assert bodies[1:] == [
        {"description": "x", "tags": {"a": "b"}},
        {"description": None},
        {"tags": {}},
    ]


def test_versions_are_compared_and_rolled_back_by_either_word(server: Any) -> None:
    server.on("GET", "/heads/pets/compare", server.ok(COMPARISON))
    rolled = {"name": "pets", "version": 2}
    server.on("POST", "/heads/pets/aliases/prod/rollback", server.ok(rolled))
    with Client(server.url) as client:
        found = [
            client.heads.compare("pets", 2, "prod"),
            client.heads.compare("pets", before=2, after="prod"),
            client.heads.compare("pets", from_=2, to="prod"),
        ]
        for one in found:
            assert (one.from_, one.to) == (one.before, one.after)
        for wrong in ({}, {"before": 2}, {"before": 2, "from_": 2, "after": 3}):
            with pytest.raises(ValueError, match="two versions"):
                client.heads.compare("pets", **wrong)
        client.heads.rollback("pets", "prod", from_=3)
        client.heads.rollback("pets", "prod", expected=3)
    asked = [request.query for request in server.requests]
    assert asked == [{"from": "2", "to": "prod"}] * 3 + [{"from": "3"}] * 2


COMPARISON = {
    "from": {"name": "pets", "version": 2},
    "to": {"name": "pets", "version": 3},
    "verdict": "pets@3 is more accurate.",
    "note": "95 %",
    "paired": False,
    "splits": [
        {
            "split": "test",
            "same_rows": True,
            "metrics": {
                "accuracy": {"from": 0.8, "to": 0.9, "difference": 0.1, "interval": [0.05, 0.15]}
            },
        }
    ],
    "config": {"epochs": {"from": 3, "to": 5}},
    "lineage": {},
    "classes": {"added": [], "removed": [], "reordered": False},
}
BIG = {f"key_{number}": "x" * 1000 for number in range(1000)}
VERSION = {
    "name": "pets",
    "version": 3,
    "classes": [f"class {number}" for number in range(5000)],
    "config": BIG,
    "metrics": BIG,
    "lineage": BIG,
    "encoder": BIG,
    "description": "y" * 2000,
    "tags": BIG,
}


@pytest.mark.parametrize(
    "value",
    [
        Report.from_json({"candidates": BIG, "verdict": {"summary": "z" * 5000}, "name": "pets"}),
        JobData.from_json(
            {"id": "j", "name": "n", "status": "failed", "config": BIG, "error": BIG, "output": BIG}
            | {"progress": {"losses": BIG, "validation": BIG}, "encoder": BIG, "tags": BIG}
        ),
        Progress.from_json({"losses": BIG, "validation": BIG}),
        Event.from_json({"id": "e", "type": "job.progress", "data": BIG}),
        HeadVersion.from_json(VERSION),
        Head.from_json(
            {"name": "pets", "latest_version": 3, "aliases": BIG, "versions": [VERSION]}
        ),
        Dataset.from_json(
            {"id": "ds", "name": "n", "n_rows": 1, "n_columns": 1, "profile": BIG}
            | {"classes": VERSION["classes"], "warnings": [BIG] * 99}
            | {"splits": [{"name": "s", "n_rows": 1, "class_counts": BIG}] * 500}
        ),
        Drift.from_json(
            {"name": "pets", "version": 3, "state": "none", "sentence": "s" * 3000, "n_rows": 1}
            | {"n_training_rows": 1, "columns": [BIG] * 50}
        ),
        HeadComparison.from_json(COMPARISON | {"verdict": "v" * 3000, "config": BIG}),
        Plan(dataset_id="ds", candidates=[{"name": "c" * 9}] * 900, warnings=[BIG] * 9),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_repr_is_short(value: object) -> None:
    text = repr(value)
    assert text.startswith(type(value).__name__)
    assert len(text) < 1000
    assert "\n" not in text


def test_a_comparison_prints_its_table_and_shows_it_in_a_notebook() -> None:
    comparison = HeadComparison.from_json(COMPARISON)
    table = str(comparison)
    assert table.startswith("pets@3 is more accurate.")
    assert "+0.0500 to +0.1500" in table
    shown: list[str] = []

    class Printer:
        def text(self, text: str) -> None:
            shown.append(text)

    comparison._repr_pretty_(Printer(), cycle=False)
    assert shown == [table]


def test_a_plan_is_a_table_in_a_notebook() -> None:
    plan = Plan(dataset_id="ds", seconds=3.0, candidates=[{"name": "mlp"}])
    shown, _ = DisplayFormatter().format(plan)
    assert shown == {"text/plain": str(plan)}


def test_a_head_has_the_words_of_its_latest_version() -> None:
    head = Head.from_json(
        {"name": "pets", "latest_version": 3, "versions": [VERSION | {"metrics": {}}]}
    )
    assert head.version == 3
    assert head.latest is head.versions[0]
    assert head.versions[0].accuracy is None
    assert head.versions[0].mean_ood_accuracy is None
    metrics = {"test": {"accuracy": 0.5}, "ood/a": {"accuracy": 0.25}, "ood/b": {"accuracy": 0.75}}
    version = HeadVersion.from_json(VERSION | {"metrics": metrics})
    assert (version.accuracy, version.mean_ood_accuracy) == (0.5, 0.5)


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_a_part_of_a_client_shows_whose_it_is(make: type[Client]) -> None:
    client = make("http://host:1")
    before = "" if make is Client else "Async"
    whose = f"{before}Client('http://host:1')"
    assert repr(client.heads) == f"{before}Heads({whose})"
    assert repr(client.jobs) == f"{before}Jobs({whose})"
    assert repr(client.datasets) == f"{before}Datasets({whose})"
    assert repr(client.provider_keys) == f"{before}ProviderKeys({whose})"
    assert repr(client.webhooks) == f"{before}Webhooks({whose})"


def test_no_repr_shows_a_password() -> None:
    with Client("http://me:geheim@host:1") as client:
        for value in (client, client.jobs, client.heads, client.datasets, client.provider_keys):
            assert "geheim" not in repr(value)

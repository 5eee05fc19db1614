"""POST /heads/{name}/migrate: which way leads to another encoder, what it costs, who is told."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from providers import catalogue
from service.app import create_app
from service.migration.schemas import MigrateRequest
from service.settings import ServiceSettings
from store import datasets, jobs, transitions
from store.access import audit
from store.embedding import encoders, text_vectors
from store.files.texts import TextsFile, TextSplit
from store.names import DEFAULT_TENANT
from store.registry.heads import NewHeadVersion
from store.store import Store
from tests.service.in_process import (
    CLASSES,
    InProcess,
    RecordingQueue,
    assert_problem,
    claim,
    example,
    publish,
)
from tests.support.places import ROOT

PATH = "/heads/pets/migrate"
OLD = {"name": "openai", "model": "text-embedding-3-small", "price_per_million_tokens": 20.0}
NEW = {"name": "openai", "model": "text-embedding-3-large", "price_per_million_tokens": 130.0}
TEXTS = [f"the {kind} number {n}" for n in range(60) for kind in ("cat", "dog")]
BRIDGE = [f"another animal {n}" for n in range(120)]
PRINT = "f" * 64
ENCODERS = ROOT / "tests" / "data" / "encoders"


@pytest.fixture
def client(settings: ServiceSettings, store: Store) -> Iterator[InProcess]:
    known = settings.model_dump(include={"data_dir", "database_url"})
    secret = base64.b64encode(b"s" * 32).decode()
    changed = ServiceSettings(
        **known, secret_key=secret, provider_keys="openai=sk-operator", encoders_dir=ENCODERS
    )
    app = create_app(changed, store=store, queue=RecordingQueue())
    yield InProcess(app)
    app.state.services.text_predictor.close()


@pytest.fixture
def pets(client: InProcess, store: Store, trained: bytes) -> dict[str, Any]:
    """The head pets@1 = pets@prod, trained on texts that cost a token for each four bytes."""
    body = {"name": "pets", "texts": TEXTS, "labels": ["cat", "dog"] * 60, "provider": OLD}
    body |= {"method": "linear_probe", "config": {"seed": 7}, "alias": "prod"}
    submitted: dict[str, Any] = client.post("/jobs", json=body).json()
    job = claim(store, submitted["id"])
    encoder = catalogue.resolve("openai", model=OLD["model"])
    told = encoder.to_dict() | {"fingerprint": PRINT, "price_per_million_tokens": 20.0}
    n_bytes = sum(map(len, TEXTS))
    told["usage"] = {"n_embedded": 120, "n_bytes": n_bytes, "n_tokens": n_bytes // 4}
    head, report = (store.artifacts.put_bytes(DEFAULT_TENANT, one) for one in (trained, b"{}"))
    vectors = {hashlib.sha256(one.encode()).hexdigest(): b"\0" * 32 for one in TEXTS}
    with store.database.begin() as tx:
        encoders.add(
            tx,
            DEFAULT_TENANT,
            fingerprint=PRINT,
            identity=encoder.identity,
            encoder=encoder.to_dict(),
            signature=[[8.0, 1.0]],
            n_columns=8,
        )
        text_vectors.keep(tx, DEFAULT_TENANT, PRINT, vectors)
        transitions.note_encoder(tx, job, told)
        new = NewHeadVersion(
            name="pets",
            sha256=head.sha256,
            size_bytes=head.size_bytes,
            method="linear_probe",
            n_columns=8,
            classes=CLASSES,
            n_parameters=10,
            config={"seed": 7},
            metrics={"test": {"n_rows": 24, "accuracy": 1.0}},
            alias="prod",
            encoder=encoders.of_head(tx, DEFAULT_TENANT, told),
        )
        transitions.succeed(tx, job, report_sha256=report.sha256, head=new)
    return submitted


def _stored(client: InProcess, texts: list[str], **more: Any) -> str:
    answer = client.post("/datasets", json={"texts": texts, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def bridge_of(store: Store, texts: list[str]) -> str:
    """Texts without labels, as an upload of a file makes them."""

    split = TextSplit(
        name="rows", texts=texts, y=np.array([], np.int64), rows=list(range(len(texts)))
    )
    data = TextsFile(classes=[], splits=[split]).to_bytes()
    reference = store.artifacts.put_bytes(DEFAULT_TENANT, data)
    with store.database.begin() as tx:
        return datasets.add(
            tx,
            DEFAULT_TENANT,
            name="bridge",
            sha256=reference.sha256,
            size_bytes=reference.size_bytes,
            n_rows=len(texts),
            n_columns=0,
            content=datasets.TEXTS,
            classes=[],
            splits=[],
            profile={},
        ).id


def test_texts_that_are_kept_are_embedded_anew_by_an_ordinary_job(
    client: InProcess, store: Store, pets: dict[str, Any]
) -> None:
    answer = client.post(PATH, json={"version": "prod", "provider": NEW, "tags": {"why": "larger"}})
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert (job["kind"], job["dataset_id"]) == ("training", pets["dataset_id"])
    assert (job["method"], job["config"]) == (pets["method"], pets["config"])
    assert (job["alias"], job["tags"]) == (None, {"why": "larger"})
    assert job["migration"] == {"from_version": 1, "way": "refit"}
    assert job["encoder"]["model"] == NEW["model"]
    with store.database.read() as tx:
        left = audit.page(tx, DEFAULT_TENANT, limit=1).items[0]
    assert (left.action, left.target, left.details["migrates"]) == (
        "job.submitted",
        job["id"],
        "pets@1",
    )


def test_a_request_that_is_sent_again_makes_one_job(
    client: InProcess, pets: dict[str, Any]
) -> None:
    headers = {"Idempotency-Key": "once"}
    first, again = (
        client.post(PATH, json={"provider": NEW}, headers=headers).json()["id"] for _ in range(2)
    )
    assert first == again != pets["id"]


def test_the_plan_counts_what_the_old_encoder_took(
    client: InProcess, store: Store, pets: object
) -> None:
    plan = client.post(f"{PATH}?plan=true", json={"provider": NEW}).json()
    n_tokens = sum(map(len, TEXTS)) // 4
    assert (plan["way"], plan["from_version"], plan["old_embedding"]) == ("refit", 1, None)
    found = plan["embedding"]
    assert (found["n_different"], found["n_known"]) == (120, 0)
    assert found["n_tokens"] == pytest.approx(n_tokens, rel=0.02)
    assert found["cost"] == pytest.approx(n_tokens * 130e-6, rel=0.02)

    body = {"provider": NEW, "bridge": bridge_of(store, [*BRIDGE, *TEXTS[:30]])}
    plan = client.post(f"{PATH}?plan=true", json=body).json()
    assert plan["way"] == "bridge"
    old = plan["old_embedding"]
    assert (old["n_different"], old["n_known"]) == (150, 30), "these are paid for"
    assert old["cost"] == pytest.approx(sum(map(len, BRIDGE)) / 4 * 20e-6, rel=0.02)
    with store.database.read() as tx:
        assert len(jobs.page(tx, DEFAULT_TENANT).items) == 1, "a plan stores nothing"


def test_a_bridge_takes_the_place_of_texts_that_are_gone(
    client: InProcess, store: Store, pets: dict[str, Any]
) -> None:
    assert client.delete(f"/datasets/{pets['dataset_id']}").status_code == 204
    problem = assert_problem(
        client.post(PATH, json={"provider": NEW}), 409, "texts_not_kept", "bridge"
    )
    assert "was deleted" in problem["detail"]
    body = {"provider": NEW, "bridge": bridge_of(store, BRIDGE), "force": True}
    answer = client.post(PATH, json=body)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert (job["kind"], job["dataset_id"], job["config"]) == (
        "migration",
        body["bridge"],
        pets["config"],
    )
    migration = job["migration"]
    assert (migration["way"], migration["forced"]) == ("bridge", True)
    assert migration["old_encoder"]["fingerprint"] == PRINT
    assert "sketch" not in migration["old_encoder"]
    report = client.get(f"/jobs/{job['id']}/report")
    assert "has no report" in assert_problem(report, 409, "report_not_ready")["detail"]


@pytest.mark.usefixtures("pets")
def test_a_bridge_that_cannot_carry_is_refused_at_once(client: InProcess, store: Store) -> None:
    def refused(bridge: str, status: int, code: str) -> str:
        answer = client.post(PATH, json={"provider": NEW, "bridge": bridge})
        return str(assert_problem(answer, status, code)["detail"])

    assert "at least 100 different texts" in refused(
        bridge_of(store, BRIDGE[:99] * 2), 422, "invalid_data"
    )
    labelled = _stored(client, BRIDGE, labels=["cat", "owl"] * 60)
    assert "'owl'" in refused(labelled, 422, "unknown_class")
    numbers = client.post(
        "/datasets", json={"embeddings": [[1.0, 2.0]] * 4, "labels": ["cat", "dog"] * 2}
    ).json()["id"]
    assert "has embeddings" in refused(numbers, 422, "texts_required")
    refused("ds_" + "0" * 26, 404, "not_found")


def test_a_head_of_embeddings_says_that_its_encoder_is_unknown(
    client: InProcess, store: Store, trained: bytes
) -> None:
    publish(store, trained)
    detail = assert_problem(client.post(PATH, json={"provider": NEW}), 409, "texts_not_kept")
    assert "trained on embeddings" in detail["detail"]
    body = {"provider": NEW, "bridge": bridge_of(store, BRIDGE)}
    assert_problem(client.post(PATH, json=body), 409, "encoder_unknown")


@pytest.mark.usefixtures("pets")
def test_what_is_wrong_with_the_request_is_named(client: InProcess) -> None:
    assert_problem(client.post(PATH, json={}), 422, "invalid_request", "provider")
    gone = client.post("/heads/pets/migrate", json={"provider": NEW, "version": "9"})
    assert_problem(gone, 404, "not_found")
    unknown = {"provider": {"name": "nobody"}}
    assert_problem(client.post(PATH, json=unknown), 422, "invalid_provider", "provider.name")
    stated = {"head": "pets", "embeddings": [[0.0] * 8], "encoder": "e" * 64}
    problem = assert_problem(client.post("/predict", json=stated), 409, "wrong_encoder", "encoder")
    assert "POST /heads/pets/migrate" in problem["detail"]
    assert MigrateRequest(**example(MigrateRequest))


def test_any_encoder_of_a_job_may_be_the_new_one(client: InProcess, pets: dict[str, Any]) -> None:
    """Also one of an operator's folder, and a truncated width, as in POST /jobs."""
    for provider in ({"name": "local", "model": "bert"}, {**NEW, "truncate_dim": 3}):
        plan = client.post(f"{PATH}?plan=true", json={"provider": provider})
        assert plan.status_code == 200, plan.text
    job = client.post(PATH, json={"provider": {**NEW, "truncate_dim": 3}}).json()
    assert job["encoder"]["truncate_dim"] == 3
    unknown = client.post(PATH, json={"provider": {"name": "local", "model": "none"}})
    assert_problem(unknown, 422, "invalid_provider", "provider.model")

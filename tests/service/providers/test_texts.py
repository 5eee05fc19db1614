"""Texts at the HTTP door: datasets and jobs of them, their provider, its keys."""

import base64
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from providers import errors, keys
from service.app import create_app
from service.http.errors import problem_of
from service.predict.texts import _name_row
from service.settings import ServiceSettings
from store import datasets, jobs
from store.embedding import provider_keys
from store.files.texts import TextsFile
from store.store import Store
from tests.service.in_process import InProcess, RecordingQueue, assert_problem, train

SECRET = base64.b64encode(b"s" * 32).decode()
TEXTS = ["a cat", "a dog", "cats", "dogs", "the cat", "the dog"]
BODY: dict[str, Any] = {
    "name": "pets",
    "texts": TEXTS,
    "labels": ["cat", "dog"] * 3,
    "splits": ["train"] * 4 + ["test", "ood/books"],
    "provider": {"name": "local-minilm"},
}


@pytest.fixture
def text_settings(settings: ServiceSettings) -> ServiceSettings:
    return ServiceSettings(
        **settings.model_dump(include={"data_dir", "database_url"}),
        secret_key=SECRET,
        provider_keys="openai=sk-operator",
        provider_allow_hosts="127.0.0.1:9",
    )


@pytest.fixture
def client(text_settings: ServiceSettings, store: Store) -> Iterator[InProcess]:
    app = create_app(text_settings, store=store, queue=RecordingQueue())
    yield InProcess(app)
    app.state.services.text_predictor.close()


def test_a_job_with_texts_is_recorded_with_its_encoder(client: InProcess, store: Store) -> None:
    response = client.post("/jobs", json=BODY)
    assert response.status_code == 202, response.text
    body = response.json()
    assert body["encoder"]["provider"] == "local-minilm"
    with store.database.read() as tx:
        job = jobs.get(tx, "default", body["id"])
        dataset = datasets.get(tx, "default", job.dataset_id)
    assert (dataset.content, dataset.n_columns, dataset.n_rows) == ("texts", 0, 6)
    file = TextsFile.from_bytes(store.artifacts.get_bytes("default", dataset.sha256))
    assert [(one.name, one.texts, one.rows) for one in file.splits] == [
        ("train", TEXTS[:4], [0, 1, 2, 3]),
        ("test", TEXTS[4:5], [4]),
        ("ood/books", TEXTS[5:], [5]),
    ]


def test_a_dataset_of_texts_can_be_stored_and_named_by_jobs(client: InProcess) -> None:
    stored = client.post(
        "/datasets", json={name: BODY[name] for name in ("texts", "labels", "splits")}
    )
    assert stored.status_code == 201, stored.text
    dataset = stored.json()
    assert dataset["content"] == "texts"
    assert dataset["profile"]["splits"]["test"]["n_rows_also_in_train"] == 0
    job = {"name": "pets", "dataset_id": dataset["id"]}
    assert_problem(client.post("/jobs", json=job), 422, "provider_required", "provider")
    for model in ("text-embedding-3-small", "text-embedding-3-large"):
        provider = {"name": "openai", "model": model, "dimensions": 256}
        assert client.post("/jobs", json={**job, "provider": provider}).status_code == 202
    again = client.get(f"/datasets/{dataset['id']}").json()
    assert again == dataset


def test_a_file_of_texts_is_the_same_as_its_texts_in_json(client: InProcess) -> None:
    rows = [
        f"{split},{label},{text}"
        for split, label, text in zip(BODY["splits"], BODY["labels"], TEXTS, strict=True)
    ]
    content = "\n".join(["split,animal,said", *rows]).encode()
    query = "?text=said&label=animal"
    stored = client.post(f"/datasets{query}", files={"file": ("pets.csv", content)})
    assert stored.status_code == 201, stored.text
    sent = client.post(
        "/datasets", json={name: BODY[name] for name in ("texts", "labels", "splits")}
    )
    dataset = stored.json()
    assert (dataset["content"], dataset["n_columns"], dataset["n_rows"]) == ("texts", 0, 6)
    for name in ("sha256", "classes", "splits", "profile"):
        assert dataset[name] == sent.json()[name]
    job = {"name": "pets", "dataset_id": dataset["id"]}
    assert_problem(client.post("/jobs", json=job), 422, "provider_required", "provider")
    assert client.post("/jobs", json=job | {"provider": BODY["provider"]}).status_code == 202


def test_a_file_of_texts_has_splits_made_by_domain(client: InProcess) -> None:
    rows = [
        f"{label},{text},{'ab'[n > 7]}"
        for n, (label, text) in enumerate(zip(["cat", "dog"] * 5, map(str, range(10)), strict=True))
    ]
    content = "\n".join(["label,text,domain", *rows]).encode()
    stored = client.post("/datasets", files={"file": ("pets.csv", content)})
    assert stored.status_code == 201, stored.text
    splits = {split["name"]: split["n_rows"] for split in stored.json()["splits"]}
    assert splits == {"train": 6, "test": 2, "ood/b": 2}


@pytest.mark.parametrize(
    ("provider", "n_columns"),
    [
        ({"name": "local-minilm"}, 384),
        ({"name": "openai", "model": "m", "dimensions": 256}, 256),
        ({"name": "openai", "model": "m"}, None),
    ],
)
def test_a_plan_of_texts_knows_what_the_provider_says(
    client: InProcess, provider: dict[str, Any], n_columns: int | None
) -> None:
    response = client.post("/jobs?plan=true", json={**BODY, "provider": provider})
    assert response.status_code == 200, response.text
    plan = response.json()
    assert plan["n_columns"] == n_columns
    assert (plan["memory_bytes"] is None) == (n_columns is None)
    assert plan["seconds"] is None
    assert client.get("/datasets").json()["items"] == []
    unasked = client.post("/jobs?plan=true", json={**BODY, "provider": None})
    assert_problem(unasked, 422, "provider_required", "provider")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"provider": None}, "provider_required", "provider"),
        ({"provider": {"name": "nobody"}}, "invalid_provider", "provider.name"),
        ({"provider": {"name": "openai"}}, "invalid_provider", "provider.model"),
        (
            {"provider": {"name": "openai", "model": "m", "base_url": "http://169.254.169.254"}},
            "invalid_provider",
            "provider.base_url",
        ),
        ({"provider": {"name": "cohere", "model": "m"}}, "provider_key_missing", "provider"),
        ({"provider": {"name": "openai", "key": "sk-1"}}, "invalid_request", "provider.key"),
        ({"texts": "a cat"}, "invalid_texts", "texts"),
        ({"texts": []}, "invalid_texts", "texts"),
        ({"texts": [*TEXTS[:5], " "]}, "invalid_texts", "texts"),
        ({"texts": [*TEXTS[:5], 7]}, "invalid_texts", "texts"),
        ({"texts": [*TEXTS[:5], "a" * 100_001]}, "invalid_texts", "texts"),
        ({"texts": TEXTS[:5]}, "length_mismatch", "labels"),
        ({"labels": ["cat"] * 6}, "too_few_classes", "labels"),
        ({"embeddings": [[1.0]] * 6}, "invalid_request", "texts"),
        ({"embeddings": [[1.0]] * 6, "texts": None}, "invalid_request", "provider"),
        ({"texts": None}, "invalid_request", "embeddings"),
        ({"labels": None}, "invalid_request", "labels"),
    ],
)
def test_a_wrong_text_job_is_refused_by_field(
    client: InProcess, store: Store, changes: dict[str, Any], code: str, field: str
) -> None:
    response = client.post("/jobs", json={**BODY, **changes})
    assert_problem(response, 422, code, field)
    with store.database.read() as tx:
        assert not jobs.page(tx, "default").items


def test_texts_in_two_splits_are_warned_of(client: InProcess) -> None:
    texts = [*TEXTS[:4], "a cat", "a cat"]
    found = client.post("/datasets", json={**_rows(), "texts": texts}).json()["warnings"]
    assert [(one["code"], one["split"]) for one in found] == [
        ("rows_also_in_train", "test"),
        ("rows_also_in_train", "ood/books"),
    ]


def _rows() -> dict[str, Any]:
    return {name: BODY[name] for name in ("texts", "labels", "splits")}


def test_a_key_is_stored_sealed_and_never_shown(
    client: InProcess, store: Store, caplog: pytest.LogCaptureFixture, text_settings: Any
) -> None:
    caplog.set_level("DEBUG")
    key = "sk-canary-4711"
    body = {"origin": "cohere", "key": key}
    assert client.put("/provider-keys", json=body).status_code == 204
    assert client.put("/provider-keys", json=body).status_code == 204, "in place of the one before"
    listed = client.get("/provider-keys")
    assert [item["origin"] for item in listed.json()["items"]] == ["https://api.cohere.com"]
    provider = {"name": "cohere", "model": "embed-v4.0"}
    accepted = client.post("/jobs", json={**BODY, "provider": provider})
    assert accepted.status_code == 202
    for shown in (listed.text, accepted.text, caplog.text, str(text_settings)):
        assert "canary" not in shown
    for path in Path(text_settings.data_dir).rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes()
    with store.database.read() as tx:
        sealed = provider_keys.find(tx, "default", "https://api.cohere.com")
    assert sealed is not None
    origin = {"tenant_id": "default", "origin": "https://api.cohere.com"}
    assert keys.unseal(sealed, secret=b"s" * 32, **origin) == key
    assert client("DELETE", "/provider-keys", params={"origin": "cohere"}).status_code == 204
    assert_problem(
        client("DELETE", "/provider-keys", params={"origin": "cohere"}), 404, "not_found"
    )
    assert client.get("/provider-keys").json()["items"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"origin": "azure", "key": "k"}, "origin"),
        ({"origin": "http://169.254.169.254", "key": "k"}, "origin"),
        ({"origin": "openai", "key": "sk canary"}, "key"),
        ({"origin": "openai", "key": "sk-canary" * 100}, "key"),
        ({"origin": "openai"}, "key"),
    ],
)
def test_a_wrong_key_is_refused_without_repeating_it(
    client: InProcess, body: dict[str, Any], field: str
) -> None:
    response = client.put("/provider-keys", json=body)
    assert_problem(response, 422, "invalid_request", field)
    assert "canary" not in response.text


def test_without_a_secret_no_keys_are_taken(settings: ServiceSettings, store: Store) -> None:
    client = InProcess(create_app(settings, store=store, queue=RecordingQueue()))
    body = {"origin": "openai", "key": "sk-1"}
    assert_problem(client.put("/provider-keys", json=body), 409, "keys_not_taken")


def test_a_head_that_knows_no_encoder_reads_no_texts(client: InProcess, store: Store) -> None:
    import numpy as np

    from tests.service.in_process import publish

    rows = (np.eye(3, dtype=np.float32)[[0, 1] * 8], np.array([0, 1] * 8))
    publish(store, train(rows, seed=0))
    body = {"head": "pets", "texts": ["a cat"]}
    assert_problem(client.post("/predict", json=body), 422, "text_not_supported", "text")
    stated = {"head": "pets", "embeddings": [[1, 0, 0]], "encoder": "a" * 64}
    assert client.post("/predict", json=stated).status_code == 200, "nothing to compare with"
    assert_problem(client.post("/predict", json={"head": "pets"}), 422, "invalid_request")
    both = {**body, "embeddings": [[1, 0, 0]]}
    assert_problem(client.post("/predict", json=both), 422, "invalid_request", "texts")


def test_a_missing_key_is_told_with_both_ways_to_give_one(
    settings: ServiceSettings, store: Store
) -> None:
    body = {**BODY, "provider": {"name": "mistral", "model": "mistral-embed"}}
    for secret in (None, SECRET):
        given = settings.model_dump(include={"data_dir", "database_url"})
        app = create_app(
            ServiceSettings(**given, secret_key=secret), store=store, queue=RecordingQueue()
        )
        client = InProcess(app)
        for path in ("/jobs", "/jobs?plan=true"):
            refused = client.post(path, json=body)
            assert_problem(refused, 422, "provider_key_missing", "provider")
            detail = refused.json()["detail"]
            assert "NMTUNE_PROVIDER_KEYS='mistral=KEY'" in detail
            assert "nmtune provider-keys set mistral" in detail
            assert ("NMTUNE_SECRET_KEY" in detail) == (secret is None), "only where it is the way"
        app.state.services.text_predictor.close()
        if secret is None:
            stored = client.put("/provider-keys", json={"origin": "mistral", "key": "sk-1"})
            assert_problem(stored, 409, "keys_not_taken")
            assert "NMTUNE_PROVIDER_KEYS='mistral=KEY'" in stored.json()["detail"]
            assert "openssl rand -base64 32" in stored.json()["detail"]
    assert list(store.artifacts.stored()) == [], "nothing is kept of a job that is refused"


def test_what_is_not_installed_is_refused_before_a_job_is_taken(
    client: InProcess, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tokenizers" else find(name)
    )
    for path in ("/jobs?plan=true", "/jobs"):
        refused = client.post(path, json=BODY)
        assert_problem(refused, 422, "provider_not_installed", "provider.name")
        assert "tokenizers" in refused.json()["detail"]
        assert "pip install" in refused.json()["detail"]
    assert client.get("/jobs").json()["items"] == []


def test_the_text_that_a_provider_refuses_is_named_by_its_row_in_the_request() -> None:
    refused = errors.InputRefused("Not this one.")
    refused.place = 5
    _name_row(refused, 3, 256)  # three probes before a piece that begins with row 256
    problem = problem_of(refused)
    assert problem is not None
    (place,) = problem.errors
    assert (problem.status_code, place.field, place.row) == (422, "texts", 258)
    assert "texts[258]" in problem.detail

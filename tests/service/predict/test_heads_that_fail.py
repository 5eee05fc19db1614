"""A version that cannot be loaded does not go live: the one before answers, or a clear refusal."""

from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI

from nmtune import Head
from service.app import create_app
from service.predict import predictor
from service.predict.known_heads import KnownHeads
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store
from tests.service.in_process import InProcess, assert_problem, publish, train

Rows = tuple[np.ndarray, np.ndarray]

ONE = "/predict?head=pets@prod&embedding=1,0,0.3"


@pytest.fixture
def second(rows: Rows) -> bytes:
    """Another head, whose answers differ."""
    return train(rows, seed=1)


def with_canary(data: bytes, rows: Rows, *, wrong: bool = False) -> bytes:
    head = Head.from_bytes(data).with_self_test(rows[0][:8])
    if wrong:
        assert head.self_test is not None
        swapped = np.ascontiguousarray(head.self_test.probabilities[:, ::-1])
        head._self_test = head.self_test._replace(probabilities=swapped)
    return head.to_bytes()


def path_of(client: InProcess, settings: ServiceSettings, version: int) -> Path:
    sha256 = client.get(f"/heads/pets/versions/{version}").json()["sha256"]
    (path,) = settings.artifacts_dir.rglob(sha256)
    path.chmod(0o600)
    return path


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    match how:
        case "missing":
            path.unlink()
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "empty":
            path.write_bytes(b"")
        case "flipped":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize("how", ["missing", "truncated", "empty", "flipped"])
def test_the_version_before_answers_until_the_new_one_can(
    client: InProcess,
    settings: ServiceSettings,
    store: Store,
    trained: bytes,
    second: bytes,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish(store, trained, alias="prod")
    before = client.get(ONE)
    publish(store, second, alias="prod")
    path = path_of(client, settings, 2)
    whole = path.read_bytes()
    damage(path, how)
    for _ in range(3):
        after = client.get(ONE)
        assert (after.status_code, after.json()) == (200, before.json())
        assert after.headers["x-nmtune-instead-of"] == "pets@2"
        many = client.post("/predict", json={"head": "pets@prod", "embeddings": [[1, 0, 0.3]]})
        assert many.headers["x-nmtune-instead-of"] == "pets@2"
    assert "head.not_loaded reference=pets@prod version=2" in caplog.text
    ready = client.get("/readyz")
    assert ready.status_code == 200
    heads = ready.json()["checks"]["heads"]
    assert heads["status"] == "warning"
    assert "pets@prod names pets@2" in heads["message"]
    assert "pets@1 answers" in heads["message"]
    # Asked for by number there is nothing that answered before.
    assert client.get("/predict?head=pets@2&embedding=1,0,0.3").status_code == 503

    path.write_bytes(whole)
    monkeypatch.setattr(predictor, "RETRY_SECONDS", 0.0)
    healed = client.get(ONE)
    assert healed.json()["head"]["version"] == 2
    assert "x-nmtune-instead-of" not in healed.headers


def test_rolling_back_is_one_call(
    client: InProcess, settings: ServiceSettings, store: Store, trained: bytes, second: bytes
) -> None:
    publish(store, trained, alias="prod")
    client.get(ONE)
    publish(store, second, alias="prod")
    damage(path_of(client, settings, 2), "missing")
    assert "x-nmtune-instead-of" in client.get(ONE).headers
    client.put("/heads/pets/aliases/prod", json={"version": 1})
    answer = client.get(ONE)
    assert answer.json()["head"]["version"] == 1
    assert "x-nmtune-instead-of" not in answer.headers
    assert client.get("/readyz").json()["checks"]["heads"]["status"] == "ok"


def test_a_head_that_agrees_with_its_canary_goes_live(
    client: InProcess, store: Store, trained: bytes, rows: Rows
) -> None:
    publish(store, with_canary(trained, rows), alias="prod")
    assert client.get(ONE).status_code == 200


def test_a_head_that_says_something_else_of_its_canary_does_not(
    client: InProcess, store: Store, trained: bytes, second: bytes, rows: Rows
) -> None:
    publish(store, with_canary(trained, rows, wrong=True), alias="prod")
    assert_problem(client.get(ONE), 503, "canary_mismatch")
    assert "nothing answers" in client.get("/readyz").json()["checks"]["heads"]["message"]
    publish(store, second, alias="prod")
    assert client.get(ONE).json()["head"]["version"] == 2
    publish(store, with_canary(trained, rows, wrong=True), alias="prod")
    answer = client.get(ONE)
    assert answer.json()["head"]["version"] == 2
    assert answer.headers["x-nmtune-instead-of"] == "pets@3"


def test_a_loaded_head_needs_no_database_for_as_long_as_its_reference_is_fresh(
    settings: ServiceSettings, store: Store, trained: bytes, rows: Rows
) -> None:
    publish(store, trained, alias="prod")
    fresh = settings.model_copy(update={"predict_reference_seconds": 60.0})
    app: FastAPI = create_app(fresh, store=store, queue=LocalQueue())
    client = InProcess(app)
    assert client.get(ONE).json()["head"]["version"] == 1
    publish(store, train(rows, seed=1), alias="prod")  # another process's doing
    assert client.get(ONE).json()["head"]["version"] == 1
    client.put("/heads/pets/aliases/prod", json={"version": 2})  # this one's
    assert client.get(ONE).json()["head"]["version"] == 2


def test_what_a_reference_names_is_asked_again_before_it_is_stale(
    store: Store, trained: bytes
) -> None:
    publish(store, trained, alias="prod")
    known = KnownHeads(store, fresh_seconds=1000.0)
    assert known.recent("default", "pets@prod") is None
    found = known.resolve("default", "pets@prod")
    assert known.recent("default", "pets@prod") == (found, False)
    key, (kept, at) = next(iter(known._recent.items()))
    known._recent[key] = kept, at - 501
    assert known.recent("default", "pets@prod") == (found, True)
    known._recent[key] = kept, at - 1001
    assert known.recent("default", "pets@prod") is None
    known.resolve("default", "pets@prod")
    known.forget()
    assert known.recent("default", "pets@prod") is None

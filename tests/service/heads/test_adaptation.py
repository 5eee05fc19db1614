"""POST /heads/{name}/adapt: a version where it pays, a plain answer where it does not."""

from typing import Any

import numpy as np
import pytest

from nmtune import Head, Trainer, TuneConfig
from store.names import DEFAULT_TENANT
from store.store import Store
from tests.service.in_process import CLASSES, N_COLUMNS, InProcess, assert_problem, publish

PATH = "/heads/pets/adapt"


def _domain(n: int = 30, seed: int = 0) -> tuple[list[list[float]], list[str]]:
    """Rows that lie on one side of the head's border: it takes most of them for cats."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    centres = np.array([[1.6, 0.0, 0.3], [1.0, 0.6, -0.3]])
    x = (centres[y] + 0.05 * rng.normal(size=(n, N_COLUMNS))).astype(np.float32)
    return x.tolist(), [CLASSES[at] for at in y]


@pytest.fixture(scope="module")
def sure(rows: tuple[np.ndarray, np.ndarray]) -> bytes:
    """A head that has learnt more than two epochs teach."""
    config = TuneConfig.from_preset("linear_probe", l2=0.001)
    trainer = Trainer(*rows, classes=CLASSES, config=config)
    for _ in trainer:
        pass
    return trainer.result().head.with_self_test(rows[0][:4]).to_bytes()


@pytest.fixture
def pets(store: Store, sure: bytes) -> None:
    publish(store, sure, alias="prod")


def _body(**changes: Any) -> dict[str, Any]:
    x, labels = _domain()
    return {"embeddings": x, "labels": labels} | changes


@pytest.mark.usefixtures("pets")
def test_a_version_is_published_with_its_parent_and_what_it_won(client: InProcess) -> None:
    answer = client.post(PATH, json=_body(version="prod"))
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["published"]
    assert made["held_out"]["after"] < made["held_out"]["before"]
    low, high = made["held_out"]["gain_interval"]
    assert 0 < low < made["held_out"]["gain"] < high
    version = made["version"]
    assert (version["version"], version["aliases"], version["metrics"]) == (2, [], {})
    assert answer.headers["location"] == "/heads/pets/versions/2"
    assert client.get("/heads/pets/versions/2").json() == version
    parent = client.get("/heads/pets/versions/1").json()
    assert (version["job_id"], version["method"]) == (parent["job_id"], parent["method"])
    lineage = version["lineage"]
    assert (lineage["adapted_from"], parent["lineage"]["adapted_from"]) == (1, None)
    record = lineage["adaptation"]
    assert (record["from_version"], record["n_rows"], record["dataset_id"]) == (1, 30, None)
    assert record["class_shares"] == {"cat": 0.5, "dog": 0.5}
    assert record["held_out"] == made["held_out"]
    assert client.get("/heads/pets").json()["aliases"] == {"prod": 1}


@pytest.mark.usefixtures("pets")
def test_predictions_are_those_that_the_lineage_says(client: InProcess) -> None:
    record = client.post(PATH, json=_body()).json()["version"]["lineage"]["adaptation"]
    x, labels = _domain(200, seed=1)
    before = client.post("/predict", json={"head": "pets@1", "embeddings": x}).json()
    after = client.post("/predict", json={"head": "pets@2", "embeddings": x}).json()
    scores = np.log(before["probabilities"]) / record["temperature"]
    scores += [record["biases"][name] for name in CLASSES]
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(after["probabilities"], expected, atol=1e-5)
    right = [np.mean(np.array(one["labels"]) == labels) for one in (before, after)]
    assert right[1] > right[0] + 0.2


@pytest.mark.usefixtures("pets")
def test_what_a_head_carries_stays_true(client: InProcess, store: Store) -> None:
    sha256 = client.post(PATH, json=_body()).json()["version"]["sha256"]
    head = Head.from_bytes(store.artifacts.get_bytes(DEFAULT_TENANT, sha256))
    x = _domain(40, seed=2)[0]
    served = client.post("/predict", json={"head": "pets@2", "embeddings": x}).json()
    np.testing.assert_allclose(served["probabilities"], head.predict_proba(x), atol=1e-6)
    onnx = client.get("/heads/pets/versions/2/export?format=onnx")
    assert onnx.status_code == 200, onnx.text


@pytest.mark.usefixtures("pets")
def test_an_alias_moves_if_asked_and_goes_back(client: InProcess) -> None:
    client.post(PATH, json=_body(alias="prod", description="tweets of May"))
    assert client.get("/heads/pets").json()["aliases"] == {"prod": 2}
    assert client.get("/heads/pets/versions/2").json()["description"] == "tweets of May"
    client.post("/heads/pets/aliases/prod/rollback")
    assert client.get("/heads/pets").json()["aliases"] == {"prod": 1}


@pytest.mark.usefixtures("pets")
def test_where_nothing_is_won_nothing_is_published(client: InProcess) -> None:
    """Labels drawn from the head's own probabilities: there is nothing that it could learn."""
    x = np.random.default_rng(3).normal(0.5, 0.4, (60, N_COLUMNS)).round(3).tolist()
    answer = client.post("/predict", json={"head": "pets", "embeddings": x})
    of_dog = np.array(answer.json()["probabilities"])[:, 1]
    drawn = np.random.default_rng(4).random(60) < of_dog
    labels = [CLASSES[int(is_dog)] for is_dog in drawn]
    answer = client.post(PATH, json={"embeddings": x, "labels": labels, "alias": "prod"})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["published"], found["version"]) == (False, None)
    assert "Nothing was won on 60 held-out rows" in found["reason"]
    assert "location" not in answer.headers
    assert client.get("/heads/pets").json()["latest_version"] == 1


@pytest.mark.usefixtures("pets")
def test_a_request_that_is_sent_again_publishes_once(client: InProcess) -> None:
    headers = {"Idempotency-Key": "once"}
    first = client.post(PATH, json=_body(), headers=headers)
    second = client.post(PATH, json=_body(), headers=headers)
    assert (second.status_code, second.json()) == (201, first.json())
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers["location"] == first.headers["location"]
    other = client.post(PATH, json=_body(alias="prod"), headers=headers)
    assert_problem(other, 422, "idempotency_key_reused")
    assert client.get("/heads/pets").json()["latest_version"] == 2


@pytest.mark.usefixtures("pets")
def test_versions_are_adapted_again_and_again(client: InProcess) -> None:
    """Each is a version of its own, though they share job and method."""
    for number in (2, 3):
        answer = client.post(PATH, json=_body(version="1"))
        assert answer.json()["version"]["version"] == number, answer.text


@pytest.mark.usefixtures("pets")
def test_a_comparison_with_the_parent_says_what_it_is(client: InProcess) -> None:
    client.post(PATH, json=_body())
    found = client.get("/heads/pets/compare?from=1&to=2").json()
    assert not found["paired"]
    assert "pets@2 was adapted from pets@1 to 30 labelled rows" in found["verdict"]
    assert "adapted" in found["note"]


@pytest.mark.usefixtures("pets")
@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"labels": ["cat"] * 29}, "length_mismatch", "labels"),
        ({"labels": ["cat"] * 29 + ["cow"]}, "unknown_class", "labels"),
        ({"labels": ["cat"] * 29 + [None]}, None, "labels"),
        ({"embeddings": [[1.0, 2.0]] * 30}, "invalid_data", "embeddings"),
        ({"embeddings": [[1.0, 2.0, 3.0]] * 5, "labels": ["cat"] * 5}, "invalid_data", "labels"),
        ({"labels": ["dog"] * 30}, "invalid_data", "labels"),
        ({"labels": None}, "invalid_request", "body"),
        ({"texts": ["a"] * 30}, "invalid_request", "body"),
        ({"dataset_id": "ds_" + "0" * 26}, "invalid_request", "body"),
        ({"split": "test"}, "invalid_request", "body"),
        ({"alias": "7"}, "invalid_request", "alias"),
        ({"speed": 1}, "invalid_request", "speed"),
    ],
)
def test_wrong_requests_are_refused_by_name(
    client: InProcess, changes: dict[str, Any], code: str | None, field: str
) -> None:
    answer = client.post(PATH, json={k: v for k, v in _body(**changes).items() if v is not None})
    problem = assert_problem(answer, 422, code or answer.json()["code"], field)
    assert client.get("/heads/pets").json()["latest_version"] == 1, problem


@pytest.mark.usefixtures("pets")
def test_what_is_not_there_is_404(client: InProcess) -> None:
    assert_problem(client.post("/heads/none/adapt", json=_body()), 404, "not_found")
    assert_problem(client.post(PATH, json=_body(version="9")), 404, "not_found")
    assert_problem(client.post(PATH, json={"dataset_id": "ds_" + "0" * 26}), 404, "not_found")
    texts = {"texts": ["a"] * 30, "labels": ["cat", "dog"] * 15}
    assert_problem(client.post(PATH, json=texts), 422, "text_not_supported")


@pytest.mark.usefixtures("pets")
@pytest.mark.parametrize(
    ("labels", "code"),
    [
        (["cat", "dog"] * 14, "length_mismatch"),
        (["cat", "cow"] * 15, "unknown_class"),
        (["cat"] * 30, "invalid_data"),
    ],
)
def test_labels_are_checked_before_a_provider_is_asked(
    client: InProcess, labels: list[str], code: str
) -> None:
    """This head has no provider, which is what an answer after asking would say."""
    body = {"texts": ["a"] * 30, "labels": labels}
    assert_problem(client.post(PATH, json=body), 422, code, "labels")


@pytest.mark.usefixtures("pets")
def test_with_more_rows_a_linear_map_comes_on_top_and_is_served(
    client: InProcess, store: Store
) -> None:
    """The third column tells the classes of this domain; the head looks at the others."""
    x = np.random.default_rng(5).normal(0.5, 0.4, (120, N_COLUMNS)).astype(np.float32)
    labels = [CLASSES[int(row[2] > 0.5)] for row in x]
    answer = client.post(PATH, json={"embeddings": x.tolist(), "labels": labels})
    assert answer.status_code == 201, answer.text
    version = answer.json()["version"]
    assert version["lineage"]["adaptation"]["layer_strength"] is not None
    served = client.post("/predict", json={"head": "pets@2", "embeddings": x.tolist()}).json()
    assert np.mean(np.array(served["labels"]) == labels) > 0.85
    head = Head.from_bytes(store.artifacts.get_bytes(DEFAULT_TENANT, version["sha256"]))
    np.testing.assert_allclose(served["probabilities"], head.predict_proba(x), atol=1e-5)

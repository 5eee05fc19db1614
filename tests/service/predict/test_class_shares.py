"""Known class shares: what every door answers with them, by request and by alias."""

import json
from typing import Any

import numpy as np
import pytest

from service.predict.request_body import RAW
from store.store import Store
from tests.service.in_process import InProcess, assert_problem, publish

X = [[0.55, 0.5, 0.0], [0.2, 0.9, -0.1]]
MANY_DOGS = {"cat": 0.1, "dog": 0.9}
QUERY = json.dumps(MANY_DOGS)


def _post(client: InProcess, head: str = "pets@prod", **body: Any) -> dict[str, Any]:
    answer = client.post("/predict", json={"head": head, "embeddings": X, **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _corrected(client: InProcess) -> np.ndarray:
    """By the definition: each probability times the ratio of the shares, which were even."""
    plain = np.array(_post(client, "pets@1")["probabilities"])
    raised = plain * np.array([0.1, 0.9]) / 0.5
    return raised / raised.sum(axis=1, keepdims=True)


def _by_get(client: InProcess, **query: str) -> list[list[float]]:
    found = []
    for row in X:
        embedding = ",".join(map(str, row))
        answer = client.get("/predict", params={"embedding": embedding, **query})
        assert answer.status_code == 200, answer.text
        found.append([answer.json()["probabilities"][name] for name in ("cat", "dog")])
    return found


def _by_post(client: InProcess, head: str, shares: bool) -> list[list[float]]:
    body = {"class_shares": MANY_DOGS} if shares else {}
    found: list[list[float]] = _post(client, head, **body)["probabilities"]
    return found


def _by_bytes(client: InProcess, head: str, shares: bool) -> Any:
    answer = client.post(
        "/predict",
        params={"head": head, "shape": "2,3"} | ({"class_shares": QUERY} if shares else {}),
        content=np.array(X, "<f4").tobytes(),
        headers={"content-type": RAW, "accept": RAW},
    )
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, "<f4").reshape(2, 2)


def _by_oip(client: InProcess, head: str, shares: object) -> Any:
    body: dict[str, Any] = {
        "inputs": [
            {
                "name": "embeddings",
                "shape": [2, 3],
                "datatype": "FP32",
                "data": np.ravel(X).tolist(),
            }
        ],
        "outputs": [{"name": "probabilities"}],
    }
    if shares is not None:
        body["parameters"] = {"class_shares": shares}
    answer = client.post(f"/v2/models/{head}/infer", json=body)
    assert answer.status_code == 200, answer.text
    return np.reshape(answer.json()["outputs"][0]["data"], (2, 2))


def test_every_door_corrects_to_the_shares_of_the_request(asking: InProcess) -> None:
    expected = _corrected(asking)
    for found in (
        _by_post(asking, "pets@prod", True),
        _by_get(asking, head="pets@prod", class_shares=QUERY),
        _by_bytes(asking, "pets@prod", True),
        _by_oip(asking, "pets@prod", MANY_DOGS),
        _by_oip(asking, "pets@prod", QUERY),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_every_door_uses_the_shares_of_an_alias(
    client: InProcess, store: Store, trained: bytes
) -> None:
    publish(store, trained, alias="prod")
    plain = _post(client, "pets@1")["probabilities"]
    expected = _corrected(client)
    moved = client.put("/heads/pets/aliases/prod", json={"version": 1, "class_shares": MANY_DOGS})
    assert moved.status_code == 200, moved.text
    (shown,) = client.get("/heads/pets/aliases").json()["items"]
    assert shown["class_shares"] == MANY_DOGS
    for found in (
        _by_post(client, "pets@prod", False),
        _by_get(client, head="pets@prod"),
        _by_bytes(client, "pets@prod", False),
        _by_oip(client, "pets@prod", None),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    # The request's own shares win, and the version's own reference has none.
    even = _post(client, class_shares={"cat": 0.5, "dog": 0.5})["probabilities"]
    np.testing.assert_allclose(even, plain, rtol=1e-5)
    assert _post(client, "pets@1")["probabilities"] == plain
    client.put("/heads/pets/aliases/prod", json={"version": 1})
    np.testing.assert_allclose(_by_post(client, "pets@prod", False), expected, rtol=1e-5)
    client.put("/heads/pets/aliases/prod", json={"version": 1, "class_shares": None})
    assert _by_post(client, "pets@prod", False) == plain


def test_logits_are_those_of_the_corrected_probabilities(asking: InProcess) -> None:
    logits = np.array(_post(asking, output="logits", class_shares=MANY_DOGS)["logits"])
    plain = np.array(_post(asking, output="logits")["logits"])
    moved = (logits - plain)[:, 1] - (logits - plain)[:, 0]
    np.testing.assert_allclose(moved, moved[0], rtol=1e-4)
    probabilities = _corrected(asking)
    temperature = (logits[:, 1] - logits[:, 0]) / np.log(probabilities[:, 1] / probabilities[:, 0])
    np.testing.assert_allclose(temperature, temperature[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"cat": 1.0}, "lacks 'dog'"),
        ({"cat": 0.5, "dog": 0.4, "cow": 0.1}, "names 'cow'"),
        ({"cat": 0.0, "dog": 1.0}, "the share of 'cat' must be above 0"),
        ({"cat": -0.1, "dog": 1.1}, "the share of 'cat' must be above 0"),
        ({"cat": 0.5, "dog": 0.5001}, "add up to 1.0001"),
        ({"cat": 0.5, "dog": "0.5"}, "class_shares"),
        ({"cat": True, "dog": 0.5}, "class_shares"),
        ({"cat": None, "dog": 0.5}, "class_shares"),
        ({}, "lacks 'cat', 'dog'"),
        ([0.5, 0.5], "class_shares"),
        ("many dogs", "class_shares"),
    ],
)
def test_wrong_shares_are_refused_by_name(asking: InProcess, shares: Any, said: str) -> None:
    body = {"head": "pets@prod", "embeddings": X, "class_shares": shares}
    answer = asking.post("/predict", json=body)
    problem = assert_problem(answer, 422, answer.json().get("code", ""))
    assert said in problem["detail"], problem
    assert problem["errors"][0]["field"].startswith("class_shares")
    params = {"head": "pets@prod", "embedding": "1,2,3", "class_shares": json.dumps(shares)}
    assert asking.get("/predict", params=params).status_code == 422
    alias = asking.put("/heads/pets/aliases/prod", json={"version": 1, "class_shares": shares})
    assert alias.status_code == 422
    assert "many" not in asking.get("/heads/pets/aliases").text


def test_a_head_that_does_not_know_its_own_shares_refuses(
    client: InProcess, store: Store, trained: bytes
) -> None:
    publish(store, trained, alias="prod", class_shares=None)
    body = {"head": "pets@prod", "embeddings": X, "class_shares": MANY_DOGS}
    answer = client.post("/predict", json=body)
    assert_problem(answer, 422, "class_shares_unknown", "class_shares")
    alias = client.put("/heads/pets/aliases/prod", json={"version": 1, "class_shares": MANY_DOGS})
    assert_problem(alias, 422, "class_shares_unknown", "class_shares")


def test_sets_and_embeddings_do_not_go_with_shares(asking: InProcess) -> None:
    asked = {"head": "pets@prod", "embeddings": X, "class_shares": MANY_DOGS}
    answer = asking.post("/predict", json=asked | {"conformal_level": 0.9})
    assert_problem(answer, 422, "invalid_request", "conformal_level")
    answer = asking.post("/predict", json=asked | {"output": "embeddings"})
    assert_problem(answer, 422, "invalid_request", "class_shares")
    params = {"head": "pets", "embedding": "1,2,3", "class_shares": QUERY, "output": "embeddings"}
    assert_problem(asking.get("/predict", params=params), 422, "invalid_request", "class_shares")

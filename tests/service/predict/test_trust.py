"""Conformal sets and OOD scores over HTTP: what the head learnt, or what to do about it."""

from typing import Any

import numpy as np
import pytest

from nmtune import Head
from nmtune.trust.knowledge import Knowledge, learn
from store.store import Store
from tests.service.in_process import InProcess, assert_problem, publish

Rows = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def head(trained: bytes, rows: Rows) -> Head:
    x, y = np.tile(rows[0], (5, 1)), np.tile(rows[1], 5)
    plain = Head.from_bytes(trained)
    probabilities = plain.predict_proba(x)
    knowledge = learn(
        x,
        y,
        predicted=y,
        of_truth=probabilities[np.arange(len(y)), y],
        n_classes=2,
        seed=0,
    )
    return plain.with_knowledge(knowledge)


@pytest.fixture
def knowing(client: InProcess, store: Store, head: Head, trained: bytes) -> InProcess:
    publish(store, head.to_bytes())
    publish(store, trained, name="plain")
    return client


def known(head: Head) -> Knowledge:
    assert head.knowledge is not None
    return head.knowledge


def test_sets_and_scores_are_those_of_the_head(knowing: InProcess, head: Head, rows: Rows) -> None:
    x = np.concatenate([rows[0][:4], [[9, 9, 9]]]).astype(np.float32)
    body = {"head": "pets", "embeddings": x.tolist(), "conformal_level": 0.93, "ood": True}
    found = knowing.post("/predict", json=body).json()
    assert found["conformal_level"] == 0.93
    conformal, ood = known(head).conformal, known(head).ood
    assert conformal is not None
    assert ood is not None
    expected = conformal.sets(head.predict_proba(x), 0.93)
    assert [set(one) for one in found["sets"]] == [
        {name for name, is_in in zip(head.classes, row, strict=True) if is_in} for row in expected
    ]
    assert [one[0] for one in found["sets"]] == found["labels"]
    np.testing.assert_allclose(found["ood"]["scores"], ood.score(x), rtol=1e-4)
    assert found["ood"]["threshold"] == ood.threshold
    assert found["ood"]["is_ood"][-1] is True
    assert len(found["probabilities"]) == 5


def test_one_row_by_get_and_options_in_the_query(knowing: InProcess, rows: Rows) -> None:
    embedding = ",".join(map(str, rows[0][0].tolist()))
    path = f"/predict?head=pets&embedding={embedding}&conformal_level=0.9&ood=true"
    found = knowing.get(path).json()
    assert found["set"][0] == found["label"]
    assert found["conformal_level"] == 0.9
    assert set(found["ood"]) == {"score", "threshold", "is_ood"}
    assert found["ood"]["is_ood"] is (found["ood"]["score"] > found["ood"]["threshold"])
    raw = rows[0][:2].astype("<f4").tobytes()
    many = knowing.post(
        "/predict?head=pets&shape=2,3&output=labels&ood=true",
        content=raw,
        headers={"Content-Type": "application/octet-stream"},
    ).json()
    assert set(many) == {"head", "labels", "ood"}
    assert len(many["ood"]["scores"]) == 2


def test_without_the_options_nothing_is_added(knowing: InProcess) -> None:
    body = {"head": "pets", "embeddings": [[0, 0, 0]]}
    assert set(knowing.post("/predict", json=body).json()) == {
        "head",
        "classes",
        "labels",
        "probabilities",
    }
    assert "set" not in knowing.get("/predict?head=pets&embedding=0,0,0").json()


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        ({"conformal_level": 0.9}, "conformal_level", "has not learnt conformal sets"),
        ({"ood": True}, "ood", "Train it again"),
    ],
)
def test_head_that_learnt_nothing_says_what_to_do(
    knowing: InProcess, options: dict[str, Any], field: str, words: str
) -> None:
    body = {"head": "plain", "embeddings": [[0, 0, 0]], **options}
    problem = assert_problem(knowing.post("/predict", json=body), 422, "not_learnt", field)
    assert words in problem["detail"]
    assert "plain@1" in problem["detail"]


def test_levels_that_cannot_be_kept_are_refused(knowing: InProcess) -> None:
    for level in (0.4, 1.0):
        body = {"head": "pets", "embeddings": [[0, 0, 0]], "conformal_level": level}
        assert_problem(
            knowing.post("/predict", json=body), 422, "invalid_request", "conformal_level"
        )


def test_rows_too_few_for_a_level_are_named(
    client: InProcess, store: Store, trained: bytes, rows: Rows
) -> None:
    x, y = rows
    plain = Head.from_bytes(trained)
    knowledge = learn(x, y, predicted=y, of_truth=np.full(40, 0.5), n_classes=2, seed=0)
    publish(store, plain.with_knowledge(knowledge).to_bytes())
    body = {"head": "pets", "embeddings": [[0, 0, 0]], "conformal_level": 0.99}
    problem = assert_problem(
        client.post("/predict", json=body), 422, "invalid_data", "conformal_level"
    )
    assert "this head had 40: ask for at most 0.975" in problem["detail"]


@pytest.mark.parametrize("option", ["conformal_level=0.9", "ood=true"])
def test_other_forms_of_answer_have_no_place_for_them(knowing: InProcess, option: str) -> None:
    body = {"head": "pets", "embeddings": [[0, 0, 0]]}
    field = option.partition("=")[0]
    accept = {"Accept": "application/octet-stream"}
    answer = knowing.post(f"/predict?{option}", json=body, headers=accept)
    assert_problem(answer, 422, "invalid_request", field)
    answer = knowing.post(f"/predict?{option}&output=embeddings", json=body)
    assert_problem(answer, 422, "invalid_request", "conformal_level")

"""Predictions of many rows: in batches, in order, by one version; and what comes back joined."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from nmtune_client import Client, PayloadTooLargeError, ValidationError
from nmtune_client._predict import batches as _batches

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=np.float32)


def answers_by_first_value(server: Any, version: int = 3) -> Callable[[Any], Any]:
    """A head for which a row is "odd" or "even" by its first value."""

    def answer(request: Any) -> Any:
        n_rows, n_columns = map(int, request.headers["x-shape"].split(","))
        odd = np.frombuffer(request.body, "<f4").reshape(n_rows, n_columns)[:, 0] % 2
        data = {
            "head": {"name": "parity", "version": version, "reference": request.query["head"]},
            "classes": ["even", "odd"],
            "labels": np.where(odd == 1, "odd", "even").tolist(),
            "probabilities": np.stack([1 - odd, odd], axis=1).tolist(),
        }
        return server.ok(data)

    return answer


def test_many_rows_are_predicted_in_batches_by_one_version(server: Any, client: Client) -> None:
    server.on("POST", "/predict", answers_by_first_value(server))
    x = np.arange(25_000, dtype=np.float64)[:, None].repeat(2, axis=1)
    prediction = client.predict("parity@prod", x)
    assert len(prediction) == 25_000
    np.testing.assert_array_equal(prediction.labels, np.where(x[:, 0] % 2, "odd", "even"))
    assert prediction.probabilities.shape == (25_000, 2)
    assert prediction.probabilities.dtype == np.float32
    assert (prediction.head_name, prediction.head_version) == ("parity", 3)
    asked = [(r.query["head"], r.headers["x-shape"]) for r in server.requests]
    assert asked[0] == ("parity@prod", "2048,2")
    assert sorted(asked[1:]) == [("parity@3", "2048,2")] * 11 + [("parity@3", "424,2")]


def test_server_that_takes_fewer_rows_gets_smaller_batches(server: Any, client: Client) -> None:
    good = answers_by_first_value(server)

    def answer(request: Any) -> Any:
        n_rows = int(request.headers["x-shape"].split(",")[0])
        return (
            server.problem(413, "too_many_rows", "At most 600.") if n_rows > 600 else good(request)
        )

    server.on("POST", "/predict", answer)
    x = np.arange(3000, dtype=np.float64)[:, None]
    prediction = client.predict("parity", x)
    np.testing.assert_array_equal(prediction.labels, np.where(x[:, 0] % 2, "odd", "even"))
    sizes = [int(request.headers["x-shape"].split(",")[0]) for request in server.requests]
    assert sizes[:3] == [2048, 1024, 512]
    assert set(sizes[3:]) == {512, 440}


def test_server_that_takes_no_row_at_all_is_told(server: Any, client: Client) -> None:
    server.on("POST", "/predict", server.problem(413, "body_too_large", "Too large."))
    with pytest.raises(PayloadTooLargeError, match="Too large"):
        client.predict("parity", np.ones((3, 2)))


def test_error_of_one_batch_is_the_error_of_all(server: Any, client: Client) -> None:
    good = answers_by_first_value(server)
    broken = server.problem(422, "invalid_data", "Row 7 is broken.")

    def answer(request: Any) -> Any:
        is_broken = np.frombuffer(request.body[:4], "<f4")[0] == 4096
        return broken if is_broken else good(request)

    server.on("POST", "/predict", answer)
    with pytest.raises(ValidationError, match="Row 7"):
        client.predict("parity", np.arange(500_000)[:, None])
    assert len(server.requests) < 20


def test_sets_and_ood_scores_are_joined_and_shown_as_a_table(server: Any, client: Client) -> None:
    good = answers_by_first_value(server)

    def answer(request: Any) -> Any:
        assert (request.query["conformal_level"], request.query["ood"]) == ("0.9", "true")
        data = json.loads(good(request).body)
        data["conformal_level"] = 0.9
        data["sets"] = [[label, "else"] for label in data["labels"]]
        first = np.frombuffer(request.body, "<f4")[::2]
        is_ood = (first > 2999).tolist()
        data["ood"] = {"scores": first.tolist(), "threshold": 2999.0, "is_ood": is_ood}
        return server.ok(data)

    server.on("POST", "/predict", answer)
    x = np.arange(3001)[:, None].repeat(2, axis=1)
    prediction = client.predict("parity", x, conformal_level=0.9, ood=True)
    assert prediction.sets[2999] == ["odd", "else"]
    assert prediction.ood_threshold == 2999
    assert prediction.ood_scores.tolist() == x[:, 0].tolist()
    assert prediction.is_ood.tolist() == [False] * 3000 + [True]
    table = prediction.to_pandas()
    columns = ["label", "probability_even", "probability_odd", "ood_score", "is_ood", "set"]
    assert table.columns.tolist() == columns
    assert table.iloc[3000].tolist() == ["even", 1.0, 0.0, 3000.0, True, ["even", "else"]]
    plain = client.predict("parity", x, conformal_level=0.9, ood=True).extras
    assert list(plain) == ["sets"]


def test_what_was_not_asked_for_says_how_to_ask(server: Any, client: Client) -> None:
    server.on("POST", "/predict", answers_by_first_value(server))
    prediction = client.predict("parity", X)
    for name, how in (
        ("logits", "output='logits'"),
        ("embeddings", "output='embeddings'"),
        ("sets", "conformal_level=0.9"),
        ("ood_scores", "ood=True"),
        ("is_ood", "ood=True"),
    ):
        with pytest.raises(AttributeError, match=how):
            getattr(prediction, name)


def test_classes_too_many_for_a_header_are_asked_for(server: Any, client: Client) -> None:
    def answer(request: Any) -> Any:
        n_rows = int(request.headers["x-shape"].split(",")[0])
        probabilities = np.tile(np.array([0.25, 0.75], "<f4"), (n_rows, 1))
        headers = {
            "Content-Type": "application/octet-stream",
            "X-Shape": f"{n_rows},2",
            "X-NMTune-Head": "pets@3",
        }
        return type(server.DROP)(body=probabilities.tobytes(), headers=headers)

    server.on("POST", "/predict", answer)
    version = {"name": "pets", "version": 3, "classes": ["cat", "dog"]}
    server.on("GET", "/heads/pets/versions/3", server.ok(version))
    prediction = client.predict("pets", np.ones((3000, 2)))
    assert set(prediction.labels) == {"dog"}
    assert prediction.classes == ("cat", "dog")
    assert len(server.seen("GET", "/heads/pets/versions/3")) == 1


def test_wide_rows_are_batched_by_their_bytes(
    server: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_batches, "_MOST_BYTES_A_REQUEST", 4 * 100 * 3)
    server.on("POST", "/predict", answers_by_first_value(server))
    assert len(client.predict("parity", np.ones((7, 100)))) == 7
    sizes = sorted(request.headers["x-shape"] for request in server.requests)
    assert sizes == ["1,100", "3,100", "3,100"]


def test_all_batches_are_corrected_to_the_class_shares_of_the_alias(
    server: Any, client: Client
) -> None:
    """The later requests ask the version, whose own reference has no shares."""
    good = answers_by_first_value(server)
    shares = {"even": 0.1, "odd": 0.9}

    def answer(request: Any) -> Any:
        found = good(request)
        found.headers["X-NMTune-Class-Shares"] = "alias"
        return found

    server.on("POST", "/predict", answer)
    alias = {"alias": "prod", "version": 3, "class_shares": shares}
    server.on("GET", "/heads/parity/aliases", server.ok({"items": [alias]}))
    client.predict("parity@prod", np.arange(5000, dtype=np.float64)[:, None])
    asked = [r.query for r in server.requests if r.path == "/predict"]
    assert "class_shares" not in asked[0]
    assert [json.loads(one["class_shares"]) for one in asked[1:]] == [shares] * (len(asked) - 1)
    assert len(asked) == 3

"""RemoteClassifier: scikit-learn's contract, before any row is sent, and against a fault server."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from nmtune_client import JobFailed, WaitTimeout
from nmtune_client.sklearn import TEMPORARY, RemoteClassifier, delete_temporary_heads
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError

X = np.array([[0.0, 1.0], [1.0, 0.0], [0.1, 0.9], [0.9, 0.2]])
Y = np.array(["dog", "cat", "dog", "cat"])


@pytest.fixture
def url(server: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("NMTUNE_URL", server.url)
    return str(server.url)


def test_parameters_survive_clone_get_and_set() -> None:
    first = RemoteClassifier("pets", method="mlp", config={"epochs": 3}, alias="prod", timeout=5)
    twin = clone(first).set_params(method="linear_probe")
    assert twin.get_params() == first.get_params() | {"method": "linear_probe"}
    assert is_classifier(twin)
    assert repr(first).startswith("RemoteClassifier(alias='prod'")


def test_what_is_not_fitted_says_so() -> None:
    for call in (
        lambda: RemoteClassifier().predict(X),
        lambda: RemoteClassifier().report(),
        lambda: RemoteClassifier().delete(),
    ):
        with pytest.raises(NotFittedError):
            call()


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X, Y[:3], "inconsistent numbers of samples"),
        (X, ["cat"] * 4, "two classes or more, got one: 'cat'"),
        (X, [0.5, 1.5, 0.5, 1.5], "Unknown label type"),
        (X, np.array(["1", 1, "1", 1], dtype=object), "mixes texts and numbers"),
        (np.full_like(X, np.nan), Y, "contains NaN"),
        (X[:, 0], Y, "Expected 2D array"),
    ],
)
def test_rows_that_cannot_be_right_are_refused_before_anything_is_sent(
    server: Any, url: str, x: Any, y: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        RemoteClassifier().fit(x, y)
    assert server.requests == []


def test_an_alias_needs_a_name(server: Any, url: str) -> None:
    with pytest.raises(ValueError, match="alias needs name="):
        RemoteClassifier(alias="prod").fit(X, Y)
    assert server.requests == []


def test_a_fit_trains_on_all_rows_and_columns_follow_classes(
    server: Any, url: str, job_json: Any
) -> None:
    """The server has its classes in an order of its own."""
    server.on("POST", "/jobs", server.ok(job_json(status="succeeded"), status=202))
    version = {"name": "pets", "version": 3, "classes": ["dog", "cat"]}
    server.on("GET", "/heads/pets/versions/3", server.ok(version))
    answer = {
        "head": {"name": "pets", "version": 3},
        "classes": ["dog", "cat"],
        "labels": ["dog", "cat"],
        "probabilities": [[0.9, 0.1], [0.2, 0.8]],
    }
    server.on("POST", "/predict", server.ok(answer))
    fitted = RemoteClassifier("pets", config={"epochs": 3}, compare=False, url=url).fit(X, Y)
    sent = server.seen("POST", "/jobs")[0].json
    assert sent["compare"] is False
    assert sent["splits"] == ["train"] * 4
    assert (sent["name"], sent["config"], sent["labels"]) == ("pets", {"epochs": 3}, Y.tolist())
    assert (fitted.head_, fitted.job_id_, fitted.n_features_in_) == ("pets@3", "job_1", 2)
    assert fitted.classes_.tolist() == ["cat", "dog"]
    np.testing.assert_array_equal(
        fitted.predict_proba(X[:2]), np.array([[0.1, 0.9], [0.8, 0.2]], np.float32)
    )
    assert fitted.predict(X[:2]).tolist() == ["dog", "cat"]
    assert server.seen("DELETE", "/datasets/ds_1") == []
    server.on("DELETE", "/heads/pets/versions/3", type(server.DROP)(status=204))
    fitted.delete()
    assert len(server.seen("DELETE", "/heads/pets/versions/3")) == 1


def test_a_head_without_a_name_is_temporary_and_keeps_no_rows(
    server: Any, url: str, job_json: Any
) -> None:
    server.on("POST", "/jobs", server.ok(job_json(status="succeeded"), status=202))
    server.on("DELETE", "/datasets/ds_1", type(server.DROP)(status=204))
    version = {"name": "pets", "version": 3, "classes": ["cat", "dog"]}
    server.on("GET", "/heads/pets/versions/3", server.ok(version))
    for _ in range(2):
        RemoteClassifier().fit(X, Y)
    names = [request.json["name"] for request in server.seen("POST", "/jobs")]
    assert all(name.startswith(TEMPORARY) for name in names)
    assert len(set(names)) == 2
    assert len(server.seen("DELETE", "/datasets/ds_1")) == 2


def test_only_temporary_heads_are_deleted(server: Any, url: str) -> None:
    def head(name: str, created_at: str) -> dict[str, Any]:
        return {"name": name, "latest_version": 1, "created_at": created_at}

    heads = [
        head("pets", "2026-01-01T00:00:00Z"),
        head(f"{TEMPORARY}old", "2026-01-01T00:00:00Z"),
        head(f"{TEMPORARY}new", "2999-01-01T00:00:00Z"),
    ]
    server.on("GET", "/heads", server.ok({"items": heads, "next_cursor": None}))
    gone = type(server.DROP)(status=204)
    server.on("DELETE", f"/heads/{TEMPORARY}old", gone)
    assert delete_temporary_heads(older_than_seconds=60) == [f"{TEMPORARY}old"]
    assert [one.path for one in server.requests if one.method == "DELETE"] == [
        f"/heads/{TEMPORARY}old"
    ]


def test_a_failed_job_is_told(server: Any, url: str, job_json: Any) -> None:
    failure = {"code": "out_of_memory", "message": "Too many columns."}
    server.on("POST", "/jobs", server.ok(job_json(status="failed", error=failure), status=202))
    with pytest.raises(JobFailed, match="Too many columns"):
        RemoteClassifier().fit(X, Y)


def test_a_fit_that_is_not_waited_for_cancels_its_job(server: Any, url: str, job_json: Any) -> None:
    server.on("POST", "/jobs", server.ok(job_json(status="running"), status=202))
    server.on("GET", "/jobs/job_1", server.ok(job_json(status="running")))
    server.on("GET", "/jobs/job_1/events", server.ok({"items": [], "next_cursor": None}))
    server.on("POST", "/jobs/job_1/cancel", server.ok(job_json(status="cancelled")))
    with pytest.raises(WaitTimeout):
        RemoteClassifier(timeout=0.05).fit(X, Y)
    assert len(server.seen("POST", "/jobs/job_1/cancel")) == 1


def test_scikit_learn_is_neither_needed_nor_imported_by_the_client() -> None:
    code = (
        "import sys, nmtune_client\n"
        "assert not {'sklearn', 'pandas'} & set(sys.modules)\n"
        "sys.modules['sklearn'] = None\n"
        "try:\n    import nmtune_client.sklearn\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'nmtune-client[sklearn]'" in done.stdout

"""The client over real connections, with the faults that real networks and servers have."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nmtune_client import (
    APIConnectionError,
    APITimeoutError,
    BadResponseError,
    Client,
    ConflictError,
    PayloadTooLargeError,
    RetryPolicy,
    ServerError,
    ValidationError,
    _batches,
    _client,
    _submission,
)

DATASET = {"id": "ds_1", "name": "clinc", "n_rows": 4, "n_columns": 2, "classes": ["a", "b"]}
X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=np.float32)


def test_busy_server_is_asked_again_with_the_same_key(
    server: Any, client: Client, job_json: Callable[..., Any]
) -> None:
    busy = server.problem(503, "database_unavailable", "Try again shortly.")
    server.on("POST", "/jobs", busy, server.DROP, server.ok(job_json(), status=202))
    job = client.jobs.create(name="pets", dataset="ds_1", config={"epochs": 2}, alias="prod")
    assert (job.id, job.status) == ("job_1", "queued")
    tries = server.seen("POST", "/jobs")
    assert len(tries) == 3
    assert len({request.headers["idempotency-key"] for request in tries}) == 1
    assert tries[2].json == {
        "name": "pets",
        "dataset_id": "ds_1",
        "config": {"epochs": 2},
        "alias": "prod",
    }
    assert tries[0].headers["user-agent"].startswith("nmtune-client/")


def test_server_that_stays_down_is_given_up_after_three_tries(server: Any, client: Client) -> None:
    server.on("GET", "/jobs/job_1", server.problem(503, "busy", "Try again shortly."))
    with pytest.raises(ServerError, match="Try again shortly"):
        client.jobs.get("job_1")
    assert len(server.seen("GET", "/jobs/job_1")) == 3


def test_retry_after_is_waited_for(
    server: Any, job_json: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(_client.time, "sleep", pauses.append)
    slow_down = server.problem(429, "rate_limited", "Slow down.", headers={"Retry-After": "7"})
    server.on("GET", "/jobs/job_1", slow_down, server.ok(job_json()))
    with Client(server.url) as client:
        assert client.jobs.get("job_1").name == "pets"
    assert pauses == [7.0]


def test_connection_cut_within_an_answer_is_asked_again(
    server: Any, client: Client, job_json: Callable[..., Any]
) -> None:
    whole = server.ok(job_json())
    cut = type(whole)(body=whole.body[:20], headers=whole.headers, fault="cut")
    server.on("GET", "/jobs/job_1", cut, whole)
    assert client.jobs.get("job_1").id == "job_1"


def test_connections_that_always_break_are_told(server: Any, client: Client) -> None:
    server.on("GET", "/jobs/job_1", server.DROP)
    with pytest.raises(APIConnectionError, match=r"GET .*/jobs/job_1: the connection broke"):
        client.jobs.get("job_1")


def test_slow_server_times_out(server: Any) -> None:
    server.on("GET", "/jobs/job_1", server.HANG)
    with (
        Client(server.url, timeout=0.1, retry=RetryPolicy(tries=1)) as client,
        pytest.raises(APITimeoutError, match="took too long"),
    ):
        client.jobs.get("job_1")


def test_nobody_there_says_where_and_what_to_do() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with (
        Client(f"http://127.0.0.1:{port}", retry=RetryPolicy(tries=1)) as client,
        pytest.raises(APIConnectionError, match=rf"cannot reach http://127.0.0.1:{port} .*up`"),
    ):
        client.jobs.get("job_1")


def test_malformed_answer_is_told_and_not_repeated(server: Any, client: Client) -> None:
    reply = type(server.DROP)
    server.on("GET", "/jobs/job_1", reply(body=b"<html>Welcome to the hotel's wireless</html>"))
    with pytest.raises(BadResponseError, match="something else than expected"):
        client.jobs.get("job_1")
    assert len(server.requests) == 1


def test_what_the_server_finds_wrong_reaches_the_user(server: Any, client: Client) -> None:
    place = {"field": "labels", "row": 3, "column": None, "message": "is empty."}
    refusal = server.problem(422, "invalid_label", "A label is empty.", errors=[place])
    server.on("POST", "/jobs", refusal)
    with pytest.raises(ValidationError) as caught:
        client.jobs.create(name="pets", embeddings=X, labels=["a", "b", "c"])
    assert (caught.value.code, caught.value.errors[0].row) == ("invalid_label", 3)
    assert len(server.requests) == 1


def test_small_rows_go_inline(server: Any, client: Client, job_json: Callable[..., Any]) -> None:
    server.on("POST", "/jobs", server.ok(job_json(), status=202))
    client.jobs.create(
        name="pets", embeddings=X, labels=[1, 2, 1], splits=["train", "train", "test"]
    )
    sent = server.requests[0].json
    assert sent["embeddings"]["shape"] == [3, 2]
    assert sent["labels"] == ["1", "2", "1"]
    assert sent["splits"] == ["train", "train", "test"]


def test_large_rows_go_up_as_a_dataset_first(
    server: Any,
    client: Client,
    job_json: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(_submission, "MOST_INLINE_BYTES", 16)
    server.on("POST", "/datasets", server.ok(DATASET, status=201))
    server.on("POST", "/jobs", server.ok(job_json(), status=202))
    client.jobs.create(
        name="pets",
        embeddings=X,
        labels=["b", "a", "b"],
        splits=["train", "train", "ood/x"],
        idempotency_key="mine",
    )
    upload, submission = server.requests
    assert submission.json == {"name": "pets", "dataset_id": "ds_1"}
    assert upload.query == {"name": "pets"}
    assert upload.headers["idempotency-key"] == "mine.dataset"
    file = tmp_path / "sent.npz"
    file.write_bytes(upload.body)
    with np.load(file) as archive:
        assert archive["class_names"].tolist() == ["a", "b"]
        assert archive["train_y"].tolist() == [1, 0]
        np.testing.assert_array_equal(archive["ood_x_x"], X[2:])


def test_large_rows_of_a_refused_job_can_be_named_next_time(
    server: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_submission, "MOST_INLINE_BYTES", 16)
    server.on("POST", "/datasets", server.ok(DATASET, status=201))
    server.on("POST", "/jobs", server.problem(422, "invalid_config", "epochs must be 1 or more."))
    with pytest.raises(ValidationError) as caught:
        client.jobs.create(name="pets", embeddings=X, labels=["a", "b", "a"], config={"epochs": 0})
    assert caught.value.__notes__ == ["The rows were stored: dataset='ds_1' has them."]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either dataset=, or embeddings="),
        ({"dataset": "ds_1", "embeddings": X}, "either dataset=, or embeddings="),
        ({"dataset": "ds_1", "labels": ["a"]}, "belong to embeddings"),
        ({"embeddings": X}, "embeddings need labels"),
        ({"embeddings": X, "labels": ["a"]}, "1 labels for 3 rows"),
    ],
)
def test_job_that_cannot_be_right_is_not_sent(
    server: Any, client: Client, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        client.jobs.create(name="pets", **arguments)
    assert server.requests == []


def test_file_is_streamed_and_read_anew_on_each_try(
    server: Any, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_client, "_UPLOAD_CHUNK_BYTES", 1000)
    file = tmp_path / "_my set (2.npz"
    file.write_bytes(bytes(range(256)) * 20)
    server.on("POST", "/datasets", server.DROP, server.ok(DATASET, status=201))
    assert client.datasets.upload(file).id == "ds_1"
    for request in server.seen("POST", "/datasets"):
        assert request.query == {"name": "my-set-2"}
        assert request.headers["content-type"] == "application/x-npz"
        assert request.body == file.read_bytes()
        assert request.headers["content-length"] == "5120"
        assert "transfer-encoding" not in request.headers


def test_missing_file_is_no_matter_for_the_server(server: Any, client: Client) -> None:
    with pytest.raises(FileNotFoundError, match="no file nowhere"):
        client.datasets.upload("nowhere.npz")
    assert server.requests == []


def test_arrays_are_uploaded_in_the_npz_layout(server: Any, client: Client, tmp_path: Path) -> None:
    server.on("POST", "/datasets", server.ok(DATASET, status=201))
    client.datasets.upload({"train_x": X, "train_y": ["a", "b", "a"]}, name="clinc")
    file = tmp_path / "sent.npz"
    file.write_bytes(server.requests[0].body)
    with np.load(file) as archive:
        np.testing.assert_array_equal(archive["train_x"], X)


def test_deletion_whose_answer_was_lost_has_worked(server: Any, client: Client) -> None:
    gone = server.problem(404, "not_found", "There is no dataset ds_1.")
    server.on("DELETE", "/datasets/ds_1", server.DROP, gone)
    client.datasets.delete("ds_1")
    in_use = server.problem(409, "dataset_in_use", "A job uses it.")
    server.on("DELETE", "/datasets/ds_1", in_use)
    with pytest.raises(ConflictError, match="A job uses it"):
        client.datasets.delete("ds_1")


def test_listing_follows_the_pages_only_as_far_as_it_is_read(
    server: Any, client: Client, job_json: Callable[..., Any]
) -> None:
    def page(request: Any) -> Any:
        number = int(request.query.get("cursor", "0"))
        items = [job_json(id=f"job_{number}_{place}") for place in range(2)]
        return server.ok({"items": items, "next_cursor": str(number + 1) if number < 2 else None})

    server.on("GET", "/jobs", page)
    assert [job.id for job in client.jobs.list(limit=3)] == ["job_0_0", "job_0_1", "job_1_0"]
    assert [request.query for request in server.requests] == [
        {"limit": "3"},
        {"limit": "3", "cursor": "1"},
    ]
    assert len(list(client.jobs.list(status="queued"))) == 6
    assert server.requests[-1].query == {"cursor": "2", "status": "queued"}


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


def test_address_comes_from_argument_environment_or_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NMTUNE_URL", raising=False)
    assert Client().base_url == "http://127.0.0.1:8000"
    monkeypatch.setenv("NMTUNE_URL", "https://nmtune.example/api/")
    client = Client()
    monkeypatch.setenv("NMTUNE_URL", "http://later.example")
    assert client.base_url == "https://nmtune.example/api"
    assert Client("http://here.example").base_url == "http://here.example"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://x/?a=1", "x"])
def test_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"address of a server|no query"):
        Client(url)


def test_base_path_of_a_proxy_is_kept(server: Any, job_json: Callable[..., Any]) -> None:
    server.on("GET", "/nmtune/jobs/job_1", server.ok(job_json()))
    with Client(f"{server.url}/nmtune/") as client:
        assert client.jobs.get("job_1").id == "job_1"


def test_proxy_of_the_environment_is_not_asked_for_this_machine(
    server: Any, job_json: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.on("GET", "/jobs/job_1", server.ok(job_json()))
    with Client(server.url) as client:
        assert client.jobs.get("job_1").id == "job_1"


def test_heads_are_read_and_aliases_set(server: Any, client: Client) -> None:
    version = {"name": "pets", "version": 3, "method": "nmtune", "aliases": ["prod"]}
    head = {"name": "pets", "latest_version": 3, "aliases": {"prod": 3}, "versions": [version]}
    server.on("GET", "/heads", server.ok({"items": [head], "next_cursor": None}))
    server.on("GET", "/heads/pets", server.ok(head))
    server.on("GET", "/heads/pets/versions/3", server.ok(version))
    server.on("PUT", "/heads/pets/aliases/prod", server.ok(head))
    assert [str(found) for found in client.heads.list()] == ["pets"]
    assert client.heads.get("pets").aliases == {"prod": 3}
    assert str(client.heads.version("pets", 3)) == "pets@3"
    server.on(
        "GET",
        "/heads/pets/drift",
        server.ok(
            {
                "name": "pets",
                "version": 3,
                "state": "none",
                "sentence": "Alike.",
                "n_rows": 500,
                "n_training_rows": 900,
                "first_at": "2026-11-26T03:00:00Z",
                "later": "unknown",
            }
        ),
    )
    drift = client.heads.drift("pets", version=3)
    assert (str(drift), drift.columns, drift.mean_shift) == ("pets@3: Alike.", (), None)
    assert drift.first_at is not None
    assert server.seen("GET", "/heads/pets/drift")[0].query == {"version": "3"}
    client.heads.set_alias("pets", "prod", 3)
    assert server.seen("PUT", "/heads/pets/aliases/prod")[0].json == {"version": 3}

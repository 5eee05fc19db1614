"""The client over real connections, with the faults that real networks and servers have."""

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
    RetryPolicy,
    ServerError,
    ValidationError,
)
from nmtune_client._jobs import submission as _submission
from nmtune_client._sync import client as _client

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
    monkeypatch.setattr(_client, "sleep", pauses.append)
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
    assert caught.value.__notes__ == ["The rows were stored: dataset_id='ds_1' has them."]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either dataset_id=, or embeddings="),
        ({"dataset": "ds_1", "embeddings": X}, "either dataset_id=, or embeddings="),
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
    at = "2026-11-24T03:21:46Z"
    alias = {"alias": "prod", "version": 3, "set_at": at, "history": [{"version": 2, "set_at": at}]}
    server.on("GET", "/heads/pets/aliases", server.ok({"items": [alias]}))
    (found,) = client.heads.aliases("pets")
    assert (str(found), found.version, found.history[0]["version"]) == ("prod", 3, 2)
    assert found.set_at == found.history[0]["set_at"]
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

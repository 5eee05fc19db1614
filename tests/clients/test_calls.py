"""Every request as it would be sent, and what is made of the answers; nothing is sent here."""

import json
from pathlib import Path

import numpy as np
import pytest
from nmtune_client import BadResponseError, NotFoundError, ServerError, _calls
from nmtune_client._files import Reading
from nmtune_client._wire import Answer, Call, result

ROWS = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=np.float32)
PREDICTIONS = {
    "head": {"name": "pets", "version": 3, "reference": "pets@prod"},
    "classes": ["cat", "dog"],
    "labels": ["dog", "cat"],
    "probabilities": [[0.25, 0.75], [0.5, 0.5]],
}


def answer(data: object, status: int = 200, **headers: str) -> Answer:
    return Answer(status, headers, json.dumps(data).encode())


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (_calls.list_datasets(cursor="c", limit=5), "GET /datasets cursor=c limit=5"),
        (_calls.list_datasets(), "GET /datasets"),
        (_calls.get_dataset("ds_1"), "GET /datasets/ds_1"),
        (_calls.delete_dataset("ds_1"), "DELETE /datasets/ds_1"),
        (_calls.upload_dataset(Path("x.npz"), name="a"), "POST /datasets name=a"),
        (_calls.create_job({"name": "pets"}), "POST /jobs"),
        (_calls.list_jobs(status="failed"), "GET /jobs status=failed"),
        (_calls.get_job("job_1"), "GET /jobs/job_1"),
        (_calls.cancel_job("job_1"), "POST /jobs/job_1/cancel"),
        (_calls.list_events("job_1", after="evt_1"), "GET /jobs/job_1/events after=evt_1"),
        (_calls.stream_events("job_1"), "GET /jobs/job_1/events"),
        (_calls.get_report("job_1"), "GET /jobs/job_1/report"),
        (_calls.list_heads(limit=1), "GET /heads limit=1"),
        (_calls.get_head("pets"), "GET /heads/pets"),
        (_calls.get_head_version("pets", 3), "GET /heads/pets/versions/3"),
        (_calls.set_alias("pets", "prod", 3), "PUT /heads/pets/aliases/prod"),
        (_calls.predict("pets@prod", ROWS), "POST /predict head=pets@prod"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_method_path_and_parameters(call: Call[object], line: str) -> None:
    parameters = [f"{name}={value}" for name, value in call.params.items()]
    assert " ".join([call.method, call.path, *parameters]) == line
    assert call.route in _calls.ROUTES


def test_every_post_carries_a_key_of_its_own() -> None:
    def posts() -> list[Call[object]]:
        return [
            _calls.upload_dataset(Path("x.npz")),
            _calls.create_job({}),
            _calls.cancel_job("job_1"),
            _calls.predict("pets", ROWS),
        ]

    keys = [call.headers["Idempotency-Key"] for call in posts() + posts()]
    assert len(set(keys)) == 8
    assert _calls.create_job({}, idempotency_key="mine").headers["Idempotency-Key"] == "mine"


def test_job_leaves_out_what_is_not_given_and_may_ask_the_server_to_wait() -> None:
    call = _calls.create_job({"name": "pets", "alias": None, "config": {"epochs": 3}}, wait=30)
    assert json.loads(call.content or b"") == {"name": "pets", "config": {"epochs": 3}}
    assert call.headers["Prefer"] == "wait=30"
    assert call.extra_read_seconds == 30


def test_values_that_json_lacks_are_refused_before_they_are_sent() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        _calls.create_job({"config": {"learning_rate": float("nan")}})


def test_ids_stay_one_segment_of_the_path() -> None:
    assert _calls.get_job("a/../b?c#d é").path == "/jobs/a%2F..%2Fb%3Fc%23d%20%C3%A9"
    for id_ in ("", ".", ".."):
        with pytest.raises(ValueError, match="is not a name or an id"):
            _calls.get_job(id_)


def test_stream_resumes_behind_an_event() -> None:
    assert _calls.stream_events("job_1").headers["Accept"] == "text/event-stream"
    assert "Last-Event-ID" not in _calls.stream_events("job_1").headers
    assert _calls.stream_events("job_1", after="evt_2").headers["Last-Event-ID"] == "evt_2"


def test_prediction_sends_raw_float32_and_reads_arrays() -> None:
    call = _calls.predict("pets@prod", ROWS)
    assert call.headers["X-Shape"] == "2,3"
    np.testing.assert_array_equal(np.frombuffer(call.content or b"", "<f4"), ROWS.ravel())
    prediction = result(call, answer(PREDICTIONS))
    assert prediction.labels.tolist() == ["dog", "cat"]
    assert prediction.labels.dtype.kind == "U"
    assert prediction.probabilities.dtype == np.float32
    assert prediction.probabilities.tolist() == [[0.25, 0.75], [0.5, 0.5]]
    assert (prediction.head_name, prediction.head_version) == ("pets", 3)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ["dog"]},
        {"probabilities": [[0.25, 0.75]]},
        {"classes": ["cat"]},
        {"head": None},
        {"probabilities": "none"},
    ],
)
def test_prediction_that_does_not_fit_its_rows_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadResponseError, match="POST /predict answered 200"):
        result(_calls.predict("pets", ROWS), answer(PREDICTIONS | change))


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"null", b'{"items": 3}', b"\xff"])
def test_success_with_a_strange_body_is_a_bad_response(content: bytes) -> None:
    with pytest.raises(BadResponseError, match="is this an NMTune server"):
        result(_calls.list_jobs(), Answer(200, {}, content))


def test_problem_of_a_proxy_keeps_its_text_but_not_its_page() -> None:
    with pytest.raises(ServerError, match=r"^upstream is down \(502\)") as caught:
        result(_calls.list_jobs(), Answer(502, {"x-request-id": "req_1"}, b"upstream is down\n"))
    assert caught.value.request_id == "req_1"
    with pytest.raises(ServerError, match="gave no reason"):
        result(_calls.list_jobs(), Answer(502, {}, b"<html><body>Bad Gateway</body></html>"))


def test_redirect_says_where_to() -> None:
    redirect = Answer(308, {"location": "https://nmtune.example/jobs"}, b"")
    with pytest.raises(Exception, match=r"redirects to https://nmtune\.example/jobs"):
        result(_calls.list_jobs(), redirect)


def test_deletion_that_was_tried_twice_may_find_nothing() -> None:
    gone = answer({"detail": "no such dataset"}, status=404)
    assert result(_calls.delete_dataset("ds_1"), gone, tries=2) is None
    with pytest.raises(NotFoundError):
        result(_calls.delete_dataset("ds_1"), gone, tries=1)


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.npz", "application/x-npz"),
        ("a.CSV", "text/csv"),
        ("a.b.csv.gz", "text/csv"),
        ("a.jsonl.zst", "application/x-ndjson"),
        ("a.parquet", "application/vnd.apache.parquet"),
        ("a.safetensors", "application/vnd.safetensors"),
        ("a", "application/octet-stream"),
    ],
)
def test_a_file_is_sent_as_what_its_name_says(name: str, content_type: str) -> None:
    assert _calls.upload_dataset(Path(name)).headers["Content-Type"] == content_type


def test_an_npy_alone_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ValueError, match="without labels"):
        _calls.upload_dataset(Path("a.npy"))


def test_how_to_read_a_file_goes_into_the_query() -> None:
    reading = Reading(label="y", embedding="pc_*", ood_domains=["a", "b"], split_seed=3)
    call = _calls.upload_dataset(Path("a.csv"), reading=reading)
    assert call.params == {
        "label": "y",
        "embedding": "pc_*",
        "ood_domains": "a,b",
        "split_seed": "3",
    }
    assert Reading(ood_domains=[]).params() == {"ood_domains": "none"}


def test_a_plan_is_asked_for_without_a_key() -> None:
    call = _calls.plan_job({"name": "plan", "dataset_id": "ds_1", "method": None})
    assert (call.method, call.path, call.params) == ("POST", "/jobs", {"plan": "true"})
    assert "Idempotency-Key" not in call.headers
    assert json.loads(call.content or b"") == {"name": "plan", "dataset_id": "ds_1"}

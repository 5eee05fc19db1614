"""Every request as it would be sent, and what is made of the answers; nothing is sent here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nmtune_client import BadResponseError, NotFoundError, ServerError
from nmtune_client._datasets.calls import delete_dataset, get_dataset, list_datasets, upload_dataset
from nmtune_client._datasets.files import Reading
from nmtune_client._heads.calls import get_head, get_head_version, list_heads, set_alias
from nmtune_client._http.wire import Answer, Call, result
from nmtune_client._jobs.calls import (
    cancel_job,
    create_job,
    get_job,
    get_report,
    list_events,
    list_jobs,
    plan_job,
    stream_events,
)
from nmtune_client._predict.answers import labels_of
from nmtune_client._predict.calls import predict, predict_texts
from nmtune_client._predict.options import Options
from nmtune_client._provider_keys import (
    delete_provider_key,
    list_provider_keys,
    set_provider_key,
)
from nmtune_client._webhooks.calls import (
    change_webhook,
    create_webhook,
    delete_webhook,
    get_delivery,
    get_webhook,
    list_deliveries,
    list_webhooks,
    ping_webhook,
    replay_delivery,
    replay_failed,
    rotate_secret,
)

from tests.clients.routes import routes_of_the_client

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
        (list_datasets(cursor="c", limit=5), "GET /datasets cursor=c limit=5"),
        (list_datasets(), "GET /datasets"),
        (get_dataset("ds_1"), "GET /datasets/ds_1"),
        (delete_dataset("ds_1"), "DELETE /datasets/ds_1"),
        (upload_dataset(Path("x.npz"), name="a"), "POST /datasets name=a"),
        (create_job({"name": "pets"}), "POST /jobs"),
        (list_jobs(status="failed"), "GET /jobs status=failed"),
        (get_job("job_1"), "GET /jobs/job_1"),
        (cancel_job("job_1"), "POST /jobs/job_1/cancel"),
        (list_events("job_1", after="evt_1"), "GET /jobs/job_1/events after=evt_1"),
        (stream_events("job_1"), "GET /jobs/job_1/events"),
        (get_report("job_1"), "GET /jobs/job_1/report"),
        (list_heads(limit=1), "GET /heads limit=1"),
        (get_head("pets"), "GET /heads/pets"),
        (get_head_version("pets", 3), "GET /heads/pets/versions/3"),
        (set_alias("pets", "prod", 3), "PUT /heads/pets/aliases/prod"),
        (predict("pets@prod", ROWS), "POST /predict head=pets@prod"),
        (predict_texts("pets", ["a"], options=Options(top_k=2)), "POST /predict top_k=2"),
        (set_provider_key("openai", "sk"), "PUT /provider-keys"),
        (list_provider_keys(), "GET /provider-keys"),
        (delete_provider_key("openai"), "DELETE /provider-keys origin=openai"),
        (create_webhook({"url": "https://a.example"}), "POST /webhooks"),
        (list_webhooks(), "GET /webhooks"),
        (get_webhook("ep_1"), "GET /webhooks/ep_1"),
        (change_webhook("ep_1", {}), "PATCH /webhooks/ep_1"),
        (delete_webhook("ep_1"), "DELETE /webhooks/ep_1"),
        (rotate_secret("ep_1"), "POST /webhooks/ep_1/rotate"),
        (ping_webhook("ep_1"), "POST /webhooks/ep_1/ping"),
        (replay_failed("ep_1", "2026"), "POST /webhooks/ep_1/replay since=2026"),
        (list_deliveries("ep_1", status="failed"), "GET /webhooks/ep_1/deliveries status=failed"),
        (get_delivery("dlv_1"), "GET /deliveries/dlv_1"),
        (replay_delivery("dlv_1"), "POST /deliveries/dlv_1/replay"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_method_path_and_parameters(call: Call[object], line: str) -> None:
    parameters = [f"{name}={value}" for name, value in call.params.items()]
    assert " ".join([call.method, call.path, *parameters]) == line
    assert call.route in routes_of_the_client()


def test_every_post_carries_a_key_of_its_own() -> None:
    def posts() -> list[Call[object]]:
        return [
            upload_dataset(Path("x.npz")),
            create_job({}),
            cancel_job("job_1"),
            predict("pets", ROWS),
        ]

    keys = [call.headers["Idempotency-Key"] for call in posts() + posts()]
    assert len(set(keys)) == 8
    assert create_job({}, idempotency_key="mine").headers["Idempotency-Key"] == "mine"


def test_job_leaves_out_what_is_not_given_and_may_ask_the_server_to_wait() -> None:
    call = create_job({"name": "pets", "alias": None, "config": {"epochs": 3}}, wait=30)
    assert json.loads(call.content or b"") == {"name": "pets", "config": {"epochs": 3}}
    assert call.headers["Prefer"] == "wait=30"
    assert call.extra_read_seconds == 30


def test_values_that_json_lacks_are_refused_before_they_are_sent() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        create_job({"config": {"learning_rate": float("nan")}})


def test_ids_stay_one_segment_of_the_path() -> None:
    assert get_job("a/../b?c#d é").path == "/jobs/a%2F..%2Fb%3Fc%23d%20%C3%A9"
    for id_ in ("", ".", ".."):
        with pytest.raises(ValueError, match="is not a name or an id"):
            get_job(id_)


def test_stream_resumes_behind_an_event() -> None:
    assert stream_events("job_1").headers["Accept"] == "text/event-stream"
    assert "Last-Event-ID" not in stream_events("job_1").headers
    assert stream_events("job_1", after="evt_2").headers["Last-Event-ID"] == "evt_2"


def test_prediction_sends_raw_float32_and_reads_json() -> None:
    call = predict("pets@prod", ROWS)
    assert call.headers["X-Shape"] == "2,3"
    assert call.headers["Accept"] == "application/octet-stream, application/json;q=0.5"
    np.testing.assert_array_equal(np.frombuffer(call.content or b"", "<f4"), ROWS.ravel())
    part = result(call, answer(PREDICTIONS))
    assert part.labels is not None
    assert part.labels.tolist() == ["dog", "cat"]
    assert part.labels.dtype.kind == "U"
    assert part.values["probabilities"].dtype == np.float32
    assert part.values["probabilities"].tolist() == [[0.25, 0.75], [0.5, 0.5]]
    assert (part.head_name, part.head_version) == ("pets", 3)


def of_bytes(array: np.ndarray, **headers: str) -> Answer:
    """An answer in bytes, as the server makes it."""
    usual = {
        "content-type": "application/octet-stream",
        "x-shape": ",".join(map(str, array.shape)),
        "x-nmtune-head": "pets@3",
        "x-nmtune-classes": '["cat", "h\\u00fcndchen"]',
    }
    return Answer(200, usual | headers, array.tobytes())


def test_prediction_reads_an_answer_in_bytes() -> None:
    probabilities = np.array([[0.25, 0.75], [0.5, 0.5]], "<f4")
    part = result(predict("pets@prod", ROWS), of_bytes(probabilities))
    assert part.classes == ("cat", "hündchen")
    assert labels_of(part, part.classes).tolist() == ["hündchen", "cat"]
    assert part.values["probabilities"].tolist() == probabilities.tolist()
    assert (part.head_name, part.head_version) == ("pets", 3)


def test_class_numbers_become_labels_and_less_than_none_is_none() -> None:
    call = predict("pets", ROWS, options=Options(output="labels", abstain_below=0.5))
    assert call.headers["Accept"].startswith("application/octet-stream")
    part = result(call, of_bytes(np.array([1, -1], "<i4")))
    assert labels_of(part, ["cat", "dog"]).tolist() == ["dog", None]
    assert part.values == {}


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        (Options(top_k=3), {"top_k": "3"}),
        (Options(abstain_below=0.5), {"abstain_below": "0.5"}),
        (Options(conformal_level=0.9), {"conformal_level": "0.9"}),
        (Options(ood=True), {"ood": "true"}),
        (Options(output="labels", ood=False), {"output": "labels", "ood": "false"}),
    ],
)
def test_what_bytes_cannot_say_is_asked_for_as_json(
    options: Options, parameters: dict[str, str]
) -> None:
    call = predict("pets", ROWS, options=options)
    assert call.params == {"head": "pets"} | parameters
    assert call.headers["Accept"] == "application/json"


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
        result(predict("pets", ROWS), answer(PREDICTIONS | change))


@pytest.mark.parametrize("output", ["logits", "embeddings"])
def test_server_too_old_for_what_was_asked_is_told(output: Any) -> None:
    call = predict("pets", ROWS, options=Options(output=output))
    with pytest.raises(BadResponseError, match=f"'{output}' was asked for and did not come"):
        result(call, answer(PREDICTIONS))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (Options(top_k=1), "top_labels"),
        (Options(conformal_level=0.9), "sets"),
        (Options(ood=True), "ood"),
        (Options(abstain_below=0.7), "abstain_below"),
    ],
)
def test_server_too_old_for_an_option_is_told(options: Options, name: str) -> None:
    with pytest.raises(BadResponseError, match=f"'{name}' was asked for"):
        result(predict("pets", ROWS, options=options), answer(PREDICTIONS))


def test_abstentions_are_none() -> None:
    call = predict("pets", ROWS, options=Options(abstain_below=0.7))
    part = result(call, answer(PREDICTIONS | {"labels": ["dog", None]}))
    assert part.labels is not None
    assert part.labels.tolist() == ["dog", None]


@pytest.mark.parametrize(
    "change",
    [
        {"ood": {"scores": [1.0], "threshold": 2.0, "is_ood": [False]}},
        {"ood": {"scores": [1.0, 2.0], "threshold": 2.0}},
        {"ood": {"scores": [1.0, 2.0], "is_ood": [False, True]}},
        {"ood": 3},
    ],
)
def test_ood_scores_that_do_not_fit_their_rows_are_refused(change: dict[str, object]) -> None:
    call = predict("pets", ROWS, options=Options(ood=True))
    with pytest.raises(BadResponseError, match="POST /predict answered 200"):
        result(call, answer(PREDICTIONS | change))


@pytest.mark.parametrize(
    ("array", "headers"),
    [
        (np.zeros((1, 2), "<f4"), {}),
        (np.zeros((2, 3), "<f4"), {}),
        (np.zeros(4, "<f4"), {}),
        (np.zeros((2, 2), "<f4"), {"x-shape": "2,3"}),
        (np.zeros((2, 2), "<f4"), {"x-shape": "two"}),
        (np.zeros((2, 2), "<f4"), {"x-nmtune-head": "pets"}),
        (np.zeros((2, 2), "<f4"), {"x-nmtune-classes": "cat, dog"}),
        (np.zeros((2, 2), "<f2"), {}),
    ],
)
def test_bytes_that_do_not_fit_their_rows_are_refused(
    array: np.ndarray, headers: dict[str, str]
) -> None:
    with pytest.raises(BadResponseError, match="POST /predict answered 200"):
        result(predict("pets", ROWS), of_bytes(array, **headers))


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"null", b'{"items": 3}', b"\xff"])
def test_success_with_a_strange_body_is_a_bad_response(content: bytes) -> None:
    with pytest.raises(BadResponseError, match="is this an NMTune server"):
        result(list_jobs(), Answer(200, {}, content))


def test_problem_of_a_proxy_keeps_its_text_but_not_its_page() -> None:
    with pytest.raises(ServerError, match=r"^upstream is down \(502\)") as caught:
        result(list_jobs(), Answer(502, {"x-request-id": "req_1"}, b"upstream is down\n"))
    assert caught.value.request_id == "req_1"
    with pytest.raises(ServerError, match="gave no reason"):
        result(list_jobs(), Answer(502, {}, b"<html><body>Bad Gateway</body></html>"))


def test_redirect_says_where_to() -> None:
    redirect = Answer(308, {"location": "https://nmtune.example/jobs"}, b"")
    with pytest.raises(Exception, match=r"redirects to https://nmtune\.example/jobs"):
        result(list_jobs(), redirect)


def test_deletion_that_was_tried_twice_may_find_nothing() -> None:
    gone = answer({"detail": "no such dataset"}, status=404)
    assert result(delete_dataset("ds_1"), gone, tries=2) is None
    with pytest.raises(NotFoundError):
        result(delete_dataset("ds_1"), gone, tries=1)


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
    assert upload_dataset(Path(name)).headers["Content-Type"] == content_type


def test_an_npy_alone_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ValueError, match="without labels"):
        upload_dataset(Path("a.npy"))


def test_how_to_read_a_file_goes_into_the_query() -> None:
    reading = Reading(label="y", embedding="pc_*", ood_domains=["a", "b"], split_seed=3)
    call = upload_dataset(Path("a.csv"), reading=reading)
    assert call.params == {
        "label": "y",
        "embedding": "pc_*",
        "ood_domains": "a,b",
        "split_seed": "3",
    }
    assert Reading(ood_domains=[]).params() == {"ood_domains": "none"}


def test_a_plan_is_asked_for_without_a_key() -> None:
    call = plan_job({"name": "plan", "dataset_id": "ds_1", "method": None})
    assert (call.method, call.path, call.params) == ("POST", "/jobs", {"plan": "true"})
    assert "Idempotency-Key" not in call.headers
    assert json.loads(call.content or b"") == {"name": "plan", "dataset_id": "ds_1"}

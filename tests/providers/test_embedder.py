"""Embedding many texts against a real server that misbehaves."""

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from providers import embedder, errors
from providers.embedder import Patience
from providers.pace import Stopped
from providers.provider import Limits, Provider
from tests.servers import fault_server
from tests.servers.fault_server import Server, status, vector

QUICK = Patience(request_seconds=4.0, give_up_seconds=10.0, first_pause_seconds=0.01)
TEXTS = [f"text {number}" for number in range(100)]


def embed(provider: Provider, texts: list[str], **options: Any) -> np.ndarray:
    """All vectors in order; every text came once."""
    found: dict[int, np.ndarray] = {}
    for part in embedder.embed(provider, texts, patience=QUICK, **options):
        assert not found.keys() & set(part.places)
        found |= dict(zip(part.places, part.vectors, strict=True))
    return np.array([found[place] for place in range(len(texts))])


def expected(texts: list[str]) -> np.ndarray:
    return np.array([vector(text) for text in texts], np.float32)


def test_many_texts_come_back_in_their_order(server: Server, provider: Provider) -> None:
    np.testing.assert_array_equal(embed(provider, TEXTS), expected(TEXTS))
    assert sorted(server.texts()) == sorted(TEXTS), "each text is paid for once"
    assert server.most_under_way <= provider.limits.max_concurrency


@pytest.mark.parametrize(
    "fault",
    [
        status(429, {"error": {"message": "slow down"}}, Retry_After="0.1"),
        status(500, b"<html>oops</html>"),
        status(503, {}, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"),
        fault_server.half,
        fault_server.hang,
        fault_server.trickle,
        fault_server.edited(lambda data: data[:-1]),
        fault_server.edited(lambda data: [*data, data[0]]),
        fault_server.edited(lambda data: data[:1] * len(data)),
        fault_server.edited(lambda data: [{**one, "embedding": [None] * 8} for one in data]),
        fault_server.edited(lambda data: [{**one, "embedding": [float("nan")]} for one in data]),
        fault_server.edited(lambda data: [{**one, "embedding": [1e39] * 8} for one in data]),
        fault_server.edited(lambda data: [{**one, "embedding": "AACAPw=="} for one in data]),
        fault_server.edited(lambda data: [{**one, "embedding": [0.0] * 8} for one in data]),
        fault_server.edited(lambda data: [*data[:-1], {**data[-1], "embedding": [1.0]}]),
        fault_server.edited(lambda data: [{**one, "index": one["index"] + 1} for one in data]),
        status(200, b"<html>a login page</html>"),
        status(200, {"answer": "of another form"}),
        status(200, [1, 2, 3]),
    ],
)
def test_a_fault_that_passes_costs_a_second_try(
    server: Server, provider: Provider, fault: fault_server.Fault
) -> None:
    server.faults.append(fault)
    np.testing.assert_array_equal(embed(provider, TEXTS[:40]), expected(TEXTS[:40]))
    assert len(server.requests) == 3, "two batches, one of them twice"


def test_vectors_are_put_in_order_by_their_index(server: Server, provider: Provider) -> None:
    server.always = fault_server.edited(lambda data: data[::-1])
    np.testing.assert_array_equal(embed(provider, TEXTS), expected(TEXTS))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (status(401, {"error": {"message": "No such key"}}), errors.KeyRefused),
        (status(403, {"message": "No such key"}), errors.KeyRefused),
        (status(402, {"detail": "No such key"}), errors.QuotaExhausted),
        (
            status(429, {"error": {"message": "No such key: insufficient_quota"}}),
            errors.QuotaExhausted,
        ),
        (status(404, {"error": "No such key"}), errors.InvalidProvider),
    ],
)
def test_what_will_not_pass_stops_at_once_in_the_providers_words(
    server: Server, provider: Provider, fault: fault_server.Fault, error: type[Exception]
) -> None:
    server.always = fault
    with pytest.raises(error, match="No such key"):
        embed(provider, TEXTS)
    assert len(server.requests) <= 2, "nothing is asked after the first answers"


def test_a_provider_that_stays_away_is_given_up(server: Server, provider: Provider) -> None:
    server.always = status(503)
    patience = dataclasses.replace(QUICK, give_up_seconds=0.3)
    with pytest.raises(errors.ProviderUnavailable):
        list(embedder.embed(provider, TEXTS, patience=patience))


def test_a_retry_after_beyond_all_patience_is_not_waited_for(
    server: Server, provider: Provider
) -> None:
    server.always = status(429, {}, Retry_After="999999")
    began = time.monotonic()
    with pytest.raises(errors.ProviderBusy):
        embed(provider, TEXTS)
    assert time.monotonic() - began < 60


def test_a_wrong_answer_is_not_asked_for_for_ever(server: Server, provider: Provider) -> None:
    server.always = fault_server.edited(lambda data: data[:-1])
    with pytest.raises(errors.WrongAnswer, match="31 vectors for 32 texts"):
        embed(provider, TEXTS)


def test_an_answer_of_any_size_is_bounded(
    server: Server, open_provider: Callable[..., Provider], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = open_provider()
    monkeypatch.setattr(provider._exchange, "_most_bytes", 1000)  # type: ignore[attr-defined]
    server.always = status(200, b" " * 2000)
    with pytest.raises(errors.WrongAnswer, match="larger than"):
        embed(provider, TEXTS)


def test_a_redirect_is_not_followed(server: Server, provider: Provider) -> None:
    server.always = status(302, {}, Location=f"{server.url}/elsewhere")
    with pytest.raises(errors.InvalidProvider, match="redirect"):
        embed(provider, TEXTS[:3])
    assert {path for path, _, _ in server.requests} == {"/v1/embeddings"}


@pytest.mark.parametrize("cap", [1, 7])
def test_a_cap_is_learnt_from_refusals(server: Server, provider: Provider, cap: int) -> None:
    server.always = fault_server.at_most(cap)
    texts = [f"text {number}" for number in range(400)]
    np.testing.assert_array_equal(embed(provider, texts), expected(texts))
    sizes = [len(body["input"]) for _, _, body in server.requests]
    refused = [size for size in sizes if size > cap]
    # At most those under way at the time of each lesson, of which 32 takes five.
    assert len(refused) <= 5 * provider.limits.max_concurrency


def test_a_text_that_is_too_long_is_cut_and_counted(server: Server, provider: Provider) -> None:
    def refuse_long(request: fault_server.Request, body: dict[str, Any]) -> bool:
        if max(map(len, body["input"])) <= 50:
            return False
        request.answer(400, {"error": {"message": "maximum context length is 50 tokens"}})
        return True

    server.always = refuse_long
    texts = [*TEXTS[:10], "a" * 60]
    parts = list(embedder.embed(provider, texts, patience=QUICK))
    assert sum(part.n_truncated for part in parts) == 1
    assert sum(len(part.places) for part in parts) == 11


def test_the_text_that_is_refused_is_named(server: Server, provider: Provider) -> None:
    def refuse(request: fault_server.Request, body: dict[str, Any]) -> bool:
        if "text 41" not in body["input"]:
            return False
        request.answer(400, {"error": {"message": "this text is not to our liking"}})
        return True

    server.always = refuse
    with pytest.raises(errors.InputRefused, match="not to our liking") as caught:
        embed(provider, TEXTS)
    assert caught.value.place == 41


def test_stopping_yields_what_is_paid_for_and_ends_soon(server: Server, provider: Provider) -> None:
    stop = threading.Event()
    server.faults.append(lambda request, body: bool(stop.set()))
    found = []
    began = time.monotonic()
    with pytest.raises(Stopped):
        found.extend(embedder.embed(provider, TEXTS * 20, should_stop=stop.is_set, patience=QUICK))
    assert time.monotonic() - began < embedder.GRACE_SECONDS + 30
    assert len(server.requests) < 63


def test_a_busy_provider_is_asked_less_at_a_time(server: Server, provider: Provider) -> None:
    busy = threading.Semaphore(1)

    def one_at_a_time(request: fault_server.Request, body: dict[str, Any]) -> bool:
        if not busy.acquire(blocking=False):
            request.answer(429, {})
            return True
        try:
            request.embeddings(body)
        finally:
            busy.release()
        return True

    server.always = one_at_a_time
    texts = [f"more {number}" for number in range(32 * 20)]
    np.testing.assert_array_equal(embed(provider, texts), expected(texts))


def test_every_batch_has_the_same_width(server: Server, provider: Provider) -> None:
    def wider(request: fault_server.Request, body: dict[str, Any]) -> bool:
        request.embeddings(body, width=9)
        return True

    server.faults.extend([lambda request, body: False, wider])
    with pytest.raises(errors.WrongAnswer, match="numbers, then of"):
        embed(provider, TEXTS)


def test_another_width_than_asked_for_is_refused(open_provider: Callable[..., Provider]) -> None:
    with pytest.raises(errors.WrongAnswer, match="8 numbers, and 4 were asked for"):
        embed(open_provider(dimensions=4), TEXTS[:3])


def test_a_key_is_sent_and_never_shown(
    server: Server, open_provider: Callable[..., Provider], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    key = "sk-canary-4711"
    provider = open_provider(key=key)
    embed(provider, TEXTS[:3])
    server.always = status(401, {"error": {"message": f"Wrong key {key}, sk-c***11"}})
    with pytest.raises(errors.KeyRefused) as caught:
        embed(provider, TEXTS[:3])
    assert server.requests[0][1]["Authorization"] == f"Bearer {key}"
    for shown in (str(caught.value), repr(provider), caplog.text):
        assert "canary" not in shown
        assert "sk-c" not in shown


def test_limits_are_kept_to(server: Server, provider: Provider) -> None:
    provider.limits = Limits(  # type: ignore[misc]
        max_items=1000, max_tokens=1000, max_text_tokens=100, max_bytes=400
    )
    texts = ["é" * 40 + str(number) for number in range(30)]
    embed(provider, texts)
    for _, _, body in server.requests:
        assert sum(len(text.encode()) for text in body["input"]) <= 400

"""What passes is told from what is the fault of one text or one batch, and what each costs."""

import dataclasses
import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from providers import asking, catalogue, embedder, errors, probe_texts
from providers.embedder import Patience
from providers.errors import ProviderUnavailable
from providers.pool import Providers
from providers.provider import Provider
from tests.servers import fault_server
from tests.servers.fault_server import Fault, Server, status, vector, when

QUICK = Patience(request_seconds=4.0, give_up_seconds=10.0, first_pause_seconds=0.01)
TEXTS = [f"text {number}" for number in range(121)]
BAD = 50


Texts = list[str]


def embed(
    provider: Provider, texts: Texts = TEXTS, **options: Any
) -> tuple[dict[int, np.ndarray], BaseException | None]:
    """The vectors that came, by place, and what ended it."""
    found: dict[int, np.ndarray] = {}
    try:
        for part in embedder.embed(provider, texts, **{"patience": QUICK, **options}):
            assert not found.keys() & set(part.places)
            found |= dict(zip(part.places, part.vectors, strict=True))
    except errors.ProviderError as error:
        return found, error
    return found, None


def has(text: str) -> Callable[[Texts], bool]:
    return lambda texts: text in texts


def asked_for(server: Server) -> int:
    """How many requests there were, without those that try whether the provider is there."""
    return sum(body["input"] != [probe_texts.TEXTS[0]] for _, _, body in server.requests)


@pytest.mark.parametrize(
    "fault",
    [
        when(has(TEXTS[BAD]), 500, {"error": {"message": "internal error"}}),
        when(has(TEXTS[BAD]), 503, b"<html>"),
        when(has(TEXTS[BAD]), 400, {"error": {"message": "not to our liking"}}),
        when(has(TEXTS[BAD]), 200, {"error": {"message": "internal error", "code": 500}}),
    ],
)
def test_the_one_text_that_is_refused_is_named_and_its_neighbours_are_kept(
    server: Server, provider: Provider, fault: Fault
) -> None:
    server.always = fault
    found, error = embed(provider)
    assert isinstance(error, errors.InputRefused)
    assert error.place == BAD
    in_its_batch = set(range(32, 64)) - {BAD}
    assert in_its_batch <= found.keys(), "what is paid for, and good, is kept"
    for place, one in found.items():
        np.testing.assert_array_equal(one, np.float32(vector(TEXTS[place])))
    assert asked_for(server) <= 25


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"error": {"message": "input (849 tokens) is too large to process. limit: 512"}}, 500),
        ({"error": {"message": "Input length 849 exceeds maximum allowed token size 512"}}, 400),
        ({"error": {"message": "Input length 849 exceeds maximum allowed token size 512"}}, 500),
        ({"error": "the input length exceeds the context length"}, 500),
        # no wording that is known, but one that speaks of a length
        ({"error": {"message": "849 pieces is beyond the length that we read"}}, 400),
        ({"error": {"message": "849 pieces is beyond the length that we read"}}, 500),
        # nothing is said, but the text is far longer than all others
        (b"", 500),
        (b"<html>", 400),
    ],
)
def test_a_text_that_is_too_long_is_cut_and_counted_whatever_the_status(
    server: Server, provider: Provider, content: Any, code: int
) -> None:
    server.always = when(lambda texts: max(map(len, texts)) > 60, code, content)
    texts = [f"some text {number}" for number in range(32 * 15)]
    texts[60] = "x" * 100
    parts = list(embedder.embed(provider, texts, patience=QUICK))
    assert sorted(place for part in parts for place in part.places) == list(range(32 * 15))
    assert sum(part.n_truncated for part in parts) == 1
    n_asked = asked_for(server)
    # 15 batches, and the ways to find the one text, which differ with the order of answers.
    assert n_asked <= 120, "one long text does not make all batches small: that were 480"


def test_a_text_that_stays_refused_when_cut_is_named(server: Server, provider: Provider) -> None:
    texts = [*TEXTS[:60], "x" * 100]
    server.always = when(lambda texts: any("x" * 8 in text for text in texts), 500)
    _, error = embed(provider, texts)
    assert isinstance(error, errors.InputRefused)
    assert error.place == 60
    assert asked_for(server) <= 30


@pytest.mark.parametrize(
    "content",
    [
        {"error": {"message": "this request has more tokens than the per-minute limit"}},
        {"error": {"message": "Request too large (TPM): Limit 1000, Requested 4500."}},
        {"error": {"message": "Rate limit reached"}},  # it is found out by itself
    ],
)
@pytest.mark.parametrize("headers", [{}, {"Retry_After": "0.01"}])
def test_a_batch_of_more_tokens_than_a_minute_holds_is_halved_and_that_is_remembered(
    server: Server, content: Any, headers: dict[str, str]
) -> None:
    server.always = when(lambda texts: sum(map(len, texts)) > 1000, 429, content, **headers)
    texts = [f"text number {number}" for number in range(600)]
    with Providers(allowed=[server.host]) as providers:
        encoder = catalogue.resolve(
            "openai", model="m", base_url=server.url, allowed=providers.allowed
        )
        provider = providers.open(encoder, lambda origin: "k")
        found, error = embed(provider, texts)
    assert error is None
    assert len(found) == 600
    assert asked_for(server) <= 60, "600 texts of 15 letters, at most 1,000 letters at a time"


def test_a_minutes_limit_is_waited_for_as_told(server: Server, provider: Provider) -> None:
    told = {
        "error": {
            "code": 429,
            "status": "RESOURCE_EXHAUSTED",
            "message": "You exceeded your current quota. Please retry in 0.3s.",
            "details": [
                {"violations": [{"quotaId": "EmbedContentRequestsPerMinutePerProject"}]},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.3s"},
            ],
        }
    }
    server.faults.append(status(429, told))
    waits: list[tuple[ProviderUnavailable, float]] = []
    found, error = embed(provider, on_wait=lambda *one: waits.append(one))
    assert error is None
    assert len(found) == 121
    assert asked_for(server) == 5, "four batches, one of them twice"


def test_pauses_are_told_with_their_reason(
    server: Server, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "SHOWN_SECONDS", 0.1)
    server.faults.append(status(429, {"error": "slow down"}, Retry_After="0.3"))
    waits: list[tuple[ProviderUnavailable, float]] = []
    embed(provider, on_wait=lambda *one: waits.append(one))
    ((reason, seconds),) = waits
    assert "slow down" in str(reason)
    assert 0.3 <= seconds < 1


def test_a_longer_wait_than_anybody_stands_by_is_handed_on(
    server: Server, provider: Provider
) -> None:
    server.always = status(429, {"error": "Try again in 20 minutes"})
    found, error = embed(provider)
    assert isinstance(error, errors.ProviderBusy)
    assert error.retry_after == 1200
    assert not found
    assert asked_for(server) <= 2


def test_others_that_are_served_do_not_make_a_busy_provider_refuse_one(
    server: Server, provider: Provider
) -> None:
    chance = random.Random(5)
    lock = threading.Lock()

    def busy(request: fault_server.Request, body: dict[str, Any]) -> bool:
        with lock:
            is_refused = chance.random() < 0.5
        return is_refused and status(429, {}, Retry_After="0.01")(request, body)

    server.always = busy
    found, error = embed(provider, [f"text {number}" for number in range(32 * 30)])
    assert error is None
    assert len(found) == 32 * 30


@pytest.mark.parametrize("n_failures", range(1, 16, 2))
def test_an_outage_makes_no_batches_smaller(
    server: Server, provider: Provider, n_failures: int
) -> None:
    server.faults.extend([status(503)] * n_failures)
    found, error = embed(provider)
    assert error is None
    assert len(found) == 121
    sizes = [len(body["input"]) for _, _, body in server.requests]
    assert set(sizes) <= {32, 25, 1}, "and 1 is the probe text"


@pytest.mark.parametrize("n_failures", range(1, 9))
def test_a_lone_text_is_not_blamed_for_an_outage_that_ends(
    server: Server, provider: Provider, n_failures: int
) -> None:
    server.faults.extend([status(503)] * n_failures)
    found, error = embed(provider, TEXTS[:1])
    assert error is None
    assert len(found) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        [0.0] * 8,
        [float("nan")] * 8,
        [float("inf")] * 8,
        [1e39] * 8,
        [1.0] * 7,
        [],
        None,
        ["a"] * 8,
        {"values": [1.0] * 8},
    ],
)
def test_a_wrong_vector_is_that_of_a_text(server: Server, provider: Provider, wrong: Any) -> None:
    first_answered = threading.Event()

    def spoil(request: fault_server.Request, body: dict[str, Any]) -> bool:
        data = [
            {"index": index, "embedding": wrong if text == TEXTS[BAD] else vector(text)}
            for index, text in enumerate(body["input"])
        ]
        if TEXTS[BAD] in body["input"]:  # a provider that served nothing yet is not searched
            first_answered.wait(60)
            time.sleep(0.2)
        request.answer(200, json.dumps({"data": data}).encode())
        if TEXTS[0] in body["input"]:
            first_answered.set()
        return True

    server.always = spoil
    found, error = embed(provider)
    assert isinstance(error, errors.WrongAnswer)
    assert error.place == BAD
    assert set(range(32, 64)) - {BAD} <= found.keys()
    assert asked_for(server) <= 10


def test_one_vector_too_few_is_that_of_a_text(server: Server, provider: Provider) -> None:
    def leave_out(request: fault_server.Request, body: dict[str, Any]) -> bool:
        request.embeddings({"input": [text for text in body["input"] if text != TEXTS[BAD]]})
        return True

    server.always = leave_out
    found, error = embed(provider)
    assert isinstance(error, errors.WrongAnswer)
    assert error.place == BAD
    assert set(range(32, 64)) - {BAD} <= found.keys()
    assert asked_for(server) <= 20


def test_a_provider_whose_every_answer_is_wrong_is_not_searched_for_a_text(
    server: Server, provider: Provider
) -> None:
    server.always = fault_server.edited(lambda data: data[:-1])
    _, error = embed(provider, TEXTS[:32])
    assert isinstance(error, errors.WrongAnswer)
    assert "31 vectors for 32 texts" in str(error)
    assert error.place == 0, "the first of its batch"
    assert len(server.requests) == 3, "twice, and once whether it answers anything"


@pytest.mark.parametrize("without", ["null", "missing"])
def test_vectors_without_an_index_come_in_their_order(
    server: Server, provider: Provider, without: str
) -> None:
    def edit(data: list[dict[str, Any]]) -> Any:
        if without == "null":
            return [{**one, "index": None} for one in data]
        return [{"embedding": one["embedding"]} for one in data]

    server.always = fault_server.edited(edit)
    found, error = embed(provider)
    assert error is None
    for place, one in found.items():
        np.testing.assert_array_equal(one, np.float32(vector(TEXTS[place])))


@pytest.mark.parametrize("name", catalogue.ENTRIES)
def test_an_error_behind_a_200_is_told_in_every_dialect(server: Server, name: str) -> None:
    encoder = catalogue.resolve(name, model="m", base_url=server.url, allowed=[server.host])
    with Providers(allowed=[server.host]) as providers:
        provider = providers.open(encoder, lambda origin: "sk-4711")
        for content, kind in (
            ({"error": {"message": "the bucket is empty", "code": 429}}, errors.ProviderBusy),
            ({"error": {"message": "the bucket is empty", "code": 401}}, errors.KeyRefused),
            ({"error": "the bucket is empty"}, errors.WrongAnswer),
            ({"message": "the bucket is empty"}, errors.WrongAnswer),
            ({"detail": "the bucket is empty"}, errors.WrongAnswer),
        ):
            server.always = status(200, content)
            with pytest.raises(kind, match="the bucket is empty"):
                provider.embed(["a", "b"], seconds=20)


@pytest.mark.parametrize("provider_name", ["openai", "cohere", "gemini", "tei", "voyage"])
def test_a_url_that_was_copied_whole_becomes_a_base_url(provider_name: str) -> None:
    entry = catalogue.ENTRIES[provider_name]
    encoder = catalogue.resolve(provider_name, model="m", base_url="https://x.example/v1/")
    path = entry.dialect.path(encoder)
    if ":" in path:
        pytest.skip("a part that no base URL may have")
    copied = catalogue.resolve(provider_name, model="m", base_url=f"https://x.example/v1{path}//")
    assert copied.base_url == encoder.base_url


# --- nobody there, or somebody else ---


def test_patience_is_short_so_that_no_slot_is_held() -> None:
    assert dataclasses.asdict(Patience())["give_up_seconds"] <= 15

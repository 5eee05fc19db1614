"""What each provider is sent, and how its answers are read."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from outbound.sockets import GuardedBackend
from providers import catalogue, errors
from providers.encoder import Encoder
from providers.http.exchange import Exchange
from providers.http.provider import HttpProvider
from providers.pool import Providers
from tests.servers.fault_server import Server

VECTORS = [[1.0, 2.0], [3.0, 4.0]]
BY_INDEX = {
    "data": [{"index": 1, "embedding": VECTORS[1]}, {"index": 0, "embedding": VECTORS[0]}],
    "usage": {"prompt_tokens": 7, "total_tokens": 7},
}
LIKE_OPENAI = {"model": "m", "input": ["a", "b"], "dimensions": 2}

# name: (path behind the base URL, header of the key, body, answer, tokens)
CASES: dict[str, tuple[str, tuple[str, str], dict[str, Any], Any, int]] = {
    "openai": ("/embeddings", ("Authorization", "Bearer k"), LIKE_OPENAI, BY_INDEX, 7),
    "azure": ("/embeddings", ("api-key", "k"), LIKE_OPENAI, BY_INDEX, 7),
    "mistral": (
        "/embeddings",
        ("Authorization", "Bearer k"),
        {"model": "m", "input": ["a", "b"], "output_dimension": 2},
        BY_INDEX,
        7,
    ),
    "jina": (
        "/embeddings",
        ("Authorization", "Bearer k"),
        LIKE_OPENAI | {"task": "classification"},
        BY_INDEX,
        7,
    ),
    "voyage": (
        "/embeddings",
        ("Authorization", "Bearer k"),
        {"model": "m", "input": ["a", "b"], "truncation": False, "output_dimension": 2},
        BY_INDEX,
        7,
    ),
    "cohere": (
        "/v2/embed",
        ("Authorization", "Bearer k"),
        {
            "model": "m",
            "texts": ["a", "b"],
            "input_type": "classification",
            "embedding_types": ["float"],
            "truncate": "NONE",
            "output_dimension": 2,
        },
        {"embeddings": {"float": VECTORS}, "meta": {"billed_units": {"input_tokens": 7}}},
        7,
    ),
    "gemini": (
        "/models/m-001:batchEmbedContents",
        ("x-goog-api-key", "k"),
        {
            "requests": [
                {
                    "model": "models/m-001",
                    "taskType": "CLASSIFICATION",
                    "outputDimensionality": 2,
                    "content": {"parts": [{"text": text}]},
                }
                for text in "ab"
            ]
        },
        {"embeddings": [{"values": vector} for vector in VECTORS]},
        4,
    ),
    "tei": (
        "/embed",
        ("Authorization", "Bearer k"),
        {"inputs": ["a", "b"], "normalize": True, "truncate": False, "dimensions": 2},
        VECTORS,
        4,
    ),
}


@pytest.fixture
def exchange(server: Server) -> Iterator[Exchange]:
    with Exchange(GuardedBackend([server.host])) as exchange:
        yield exchange


@pytest.mark.parametrize("name", CASES)
def test_each_provider_is_asked_and_read_in_its_dialect(
    server: Server, exchange: Exchange, name: str
) -> None:
    path, (header, shown), body, answer, n_tokens = CASES[name]
    model = "m-001" if name == "gemini" else "m"
    encoder = catalogue.resolve(
        name, model=model, base_url=server.url, dimensions=2, allowed=[server.host]
    )
    with Providers(allowed=[server.host]) as providers:
        provider = providers.open(encoder, lambda origin: "k")
        server.always = lambda request, _: bool(request.answer(200, answer)) or True
        found = provider.embed(["a", "b"], seconds=20)
    np.testing.assert_array_equal(found.vectors, VECTORS)
    assert found.vectors.dtype == np.float32
    assert found.n_tokens == n_tokens
    asked_path, headers, asked = server.requests[0]
    assert (asked_path, asked) == (f"/v1{path}", json.loads(json.dumps(body)))
    assert headers[header] == shown


def test_later_gemini_models_are_told_the_intent_in_the_text() -> None:
    encoder = Encoder(provider="gemini", base_url="https://x", model="gemini-embedding-2")
    body = catalogue.ENTRIES["gemini"].dialect.body(encoder, ["a"])
    assert "taskType" not in body["requests"][0]
    assert body["requests"][0]["content"]["parts"][0]["text"] == "task: classification | query: a"


@pytest.mark.parametrize("name", catalogue.ENTRIES)
def test_answers_of_any_form_are_wrong_answers(
    server: Server, exchange: Exchange, name: str
) -> None:
    encoder = catalogue.resolve(name, model="m", base_url=server.url, allowed=[server.host])
    with Providers(allowed=[server.host]) as providers:
        provider = providers.open(encoder, lambda origin: "k")
        assert isinstance(provider, HttpProvider)
        for answer in (
            *({}, [], None, 5, "x", {"data": None}, {"data": [5]}, {"data": {"a": 1}}),
            *({"embeddings": 5}, {"embeddings": [5]}, {"embeddings": {"float": [[1]]}}),
            *([[1], [2, 3]], [["a"], ["b"]], [[True], [True]], {"data": [{"embedding": 1}] * 2}),
        ):
            content = json.dumps(answer).encode()
            server.always = lambda request, _, sent=content: bool(request.answer(200, sent)) or True
            with pytest.raises(errors.WrongAnswer):
                provider.embed(["a", "b"], seconds=20)


ODD_COUNTS = ("many", True, None, [], {}, -5, float("inf"), float("nan"), 10**30)


@pytest.mark.parametrize("name", ["openai", "cohere", "voyage"])
def test_vectors_are_kept_whatever_count_of_tokens_stands_beside_them(
    server: Server, exchange: Exchange, name: str
) -> None:
    vectors = CASES[name][3] if name == "cohere" else {"data": BY_INDEX["data"]}
    counts = [{"prompt_tokens": odd, "total_tokens": odd} for odd in ODD_COUNTS]
    odd_metas = [{"billed_units": {"input_tokens": odd}} for odd in ODD_COUNTS]
    encoder = catalogue.resolve(name, model="m", base_url=server.url, allowed=[server.host])
    with Providers(allowed=[server.host]) as providers:
        provider = providers.open(encoder, lambda origin: "k")
        for usage, meta in zip([*counts, [5], "x"], [*odd_metas, [5], "x"], strict=True):
            content = json.dumps(vectors | {"usage": usage, "meta": meta}).encode()
            server.always = lambda request, _, sent=content: bool(request.answer(200, sent)) or True
            found = provider.embed(["a", "b"], seconds=20)
            np.testing.assert_array_equal(found.vectors, VECTORS)
            assert found.n_tokens == 4  # as estimated


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"name": "nobody"}, "name"),
        ({"name": "openai"}, "model"),
        ({"name": "openai", "model": "m" * 300}, "model"),
        ({"name": "gemini", "model": "../x"}, "model"),
        ({"name": "azure", "model": "m"}, "base_url"),
        ({"name": "ollama", "model": "m", "base_url": "http://ollama:11434"}, "base_url"),
        ({"name": "openai", "model": "m", "dimensions": 0}, "dimensions"),
        ({"name": "local-minilm", "dimensions": 100}, "dimensions"),
        ({"name": "local-minilm", "model": "bert"}, "model"),
        ({"name": "local-minilm", "base_url": "https://x.example"}, "base_url"),
    ],
)
def test_what_cannot_be_is_refused_by_field(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.InvalidProvider) as caught:
        catalogue.resolve(**arguments)
    assert caught.value.field == field


def test_an_encoders_identity_is_all_that_it_is_asked_with() -> None:
    one = catalogue.resolve("openai", model="m")
    assert Encoder.from_dict(one.to_dict() | {"sketch": []}) == one
    others = [
        catalogue.resolve("openai", model="n"),
        catalogue.resolve("openai", model="m", dimensions=256),
        catalogue.resolve("openai", model="m", base_url="https://other.example/v1"),
        catalogue.resolve("voyage", model="m"),
    ]
    assert len({encoder.identity for encoder in [one, *others]}) == 5


def test_without_a_key_nothing_is_sent() -> None:
    with Providers() as providers, pytest.raises(errors.KeyMissing, match="NMTUNE_PROVIDER_KEYS"):
        providers.open(catalogue.resolve("openai", model="m"), lambda origin: None)

"""Texts by either client: jobs of them, predictions from them, keys for what embeds them."""

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nmtune_client import AsyncClient, Client

TEXTS = ["a cat", "a dog", "cats"]
DATASET = {"id": "ds_1", "name": "pets", "n_rows": 3, "n_columns": 0}
LABELS = ["cat", "dog", "cat"]

Ask = Callable[[Callable[[Any], Any]], Any]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, server: Any) -> Ask:
    """Does something with a client of either colour."""

    def with_client(do: Callable[[Any], Any]) -> Any:
        with Client(server.url) as client:
            return do(client)

    async def with_async_client(do: Callable[[Any], Any]) -> Any:
        async with AsyncClient(server.url) as client:
            found = do(client)
            assert inspect.isawaitable(found)
            return await found

    if request.param == "sync":
        return with_client
    return lambda do: asyncio.run(with_async_client(do))


def by_length(server: Any, *, most: int = 256) -> Callable[[Any], Any]:
    """A reply for texts: `odd` or `even`, by their length."""

    def answer(request: Any) -> Any:
        texts = request.json["texts"]
        if len(texts) > most:
            return server.problem(413, "too_many_rows", f"At most {most}.")
        odd = [len(text) % 2 for text in texts]
        return server.ok(
            {
                "head": {"name": "parity", "version": 3, "reference": request.json["head"]},
                "classes": ["even", "odd"],
                "labels": ["odd" if one else "even" for one in odd],
                "probabilities": [[1 - one, one] for one in odd],
            }
        )

    return answer


def test_many_texts_are_predicted_in_batches_by_one_version(server: Any, ask: Ask) -> None:
    server.on("POST", "/predict", by_length(server))
    texts = ["x" * (1 + number % 7) for number in range(600)]
    prediction = ask(lambda client: client.predict("parity@prod", texts=texts))
    odd = np.array([len(text) % 2 for text in texts])
    np.testing.assert_array_equal(prediction.labels, np.where(odd, "odd", "even"))
    np.testing.assert_array_equal(prediction.probabilities[:, 1], odd)
    bodies = [request.json for request in server.seen("POST", "/predict")]
    assert [body["head"] for body in bodies] == ["parity@prod", "parity@3", "parity@3"]
    assert sorted(len(body["texts"]) for body in bodies) == [88, 256, 256]


def test_server_that_takes_fewer_texts_gets_smaller_batches(server: Any, ask: Ask) -> None:
    server.on("POST", "/predict", by_length(server, most=100))
    prediction = ask(lambda client: client.predict("parity", texts=["xy"] * 150))
    assert prediction.labels.tolist() == ["even"] * 150


def test_options_go_with_texts_and_a_series_keeps_its_index(server: Any, ask: Ask) -> None:
    server.on("POST", "/predict", by_length(server))
    series = pd.Series(["ab", "abc"], index=["first", "second"])
    prediction = ask(lambda client: client.predict("parity", texts=series, abstain_below=0.5))
    (request,) = server.requests
    assert request.query == {"abstain_below": "0.5"}
    assert request.json == {"head": "parity", "texts": ["ab", "abc"]}
    assert prediction.to_pandas()["label"].to_dict() == {"first": "even", "second": "odd"}


def test_a_job_of_texts_names_what_embeds_them(
    server: Any, ask: Ask, job_json: Callable[..., Any]
) -> None:
    encoder = {"provider": "openai", "usage": {"n_texts": 3}}
    server.on("POST", "/jobs", server.ok(job_json(encoder=encoder), status=202))
    choice = {"name": "openai", "model": "text-embedding-3-small"}
    job = ask(
        lambda client: client.jobs.create(
            name="pets", texts=TEXTS, labels=LABELS, splits=["train"] * 3, provider=choice
        )
    )
    assert job.encoder == encoder
    (request,) = server.requests
    assert request.json == {
        "name": "pets",
        "texts": TEXTS,
        "labels": LABELS,
        "splits": ["train"] * 3,
        "provider": choice,
    }


def test_a_stored_dataset_of_texts_takes_a_provider_by_name(
    server: Any, ask: Ask, job_json: Callable[..., Any]
) -> None:
    server.on("POST", "/jobs", server.ok(job_json(), status=202))
    ask(lambda client: client.jobs.create(name="pets", dataset="ds_1", provider="local-minilm"))
    sent = server.requests[0].json
    assert sent == {"name": "pets", "dataset_id": "ds_1", "provider": {"name": "local-minilm"}}


def test_a_file_of_texts_names_its_columns(server: Any, ask: Ask, tmp_path: Path) -> None:
    server.on("POST", "/datasets", server.ok(DATASET, status=201))
    path = tmp_path / "pets.csv"
    path.write_text("said,animal\na cat,cat\n")
    ask(lambda client: client.datasets.upload(path, text="said", label="animal"))
    (request,) = server.requests
    assert request.query == {"name": "pets", "text": "said", "label": "animal"}
    assert request.body == path.read_bytes()


def test_a_data_frame_is_sent_as_a_file(server: Any, ask: Ask) -> None:
    server.on("POST", "/datasets", server.ok(DATASET, status=201))
    frame = pd.DataFrame({"text": TEXTS, "label": LABELS})
    ask(lambda client: client.datasets.upload(frame, name="pets"))
    (request,) = server.requests
    assert request.query == {"name": "pets"}
    assert request.body.startswith((b"PAR1", b"{"))


def test_a_plan_names_the_provider(server: Any, ask: Ask) -> None:
    server.on("POST", "/jobs", server.ok({"seconds": None}))
    found = ask(lambda client: client.jobs.plan("ds_1", provider="local-minilm", method="mlp"))
    assert found == {"seconds": None}
    (request,) = server.requests
    assert request.query == {"plan": "true"}
    assert request.json == {
        "name": "plan",
        "dataset_id": "ds_1",
        "method": "mlp",
        "provider": {"name": "local-minilm"},
    }


def test_arrays_have_no_columns_to_name(ask: Ask) -> None:
    with pytest.raises(ValueError, match="can be named for a table"):
        ask(lambda client: client.datasets.upload({"train_x": [[1.0]]}, label="y"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"texts": TEXTS, "labels": LABELS}, "texts need provider="),
        ({"texts": TEXTS, "provider": "openai"}, "texts need labels"),
        ({"texts": "a cat", "labels": LABELS, "provider": "openai"}, "a sequence of strings"),
        ({"texts": ["a", " "], "labels": ["a", "b"], "provider": "openai"}, "row 1"),
        ({"texts": TEXTS, "dataset": "ds_1", "provider": "openai"}, "pass either dataset_id="),
    ],
)
def test_what_cannot_be_right_is_not_sent(
    server: Any, ask: Ask, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ask(lambda client: client.jobs.create(name="pets", **arguments))
    assert not server.requests


@pytest.mark.parametrize("given", [{}, {"embeddings": [[1.0]], "texts": ["a"]}])
def test_a_prediction_takes_embeddings_or_texts(ask: Ask, given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either embeddings or texts"):
        ask(lambda client: client.predict("pets", **given))


def test_keys_are_set_listed_and_deleted(server: Any, ask: Ask) -> None:
    server.on("PUT", "/provider-keys", server.ok(None, status=204))
    server.on("GET", "/provider-keys", server.ok({"items": [{"origin": "https://a.example"}]}))
    server.on("DELETE", "/provider-keys", server.ok(None, status=204))
    ask(lambda client: client.provider_keys.set("openai", "sk-1"))
    assert ask(lambda client: client.provider_keys.list()) == ["https://a.example"]
    ask(lambda client: client.provider_keys.delete("openai"))
    put, _, delete = server.requests
    assert put.json == {"origin": "openai", "key": "sk-1"}
    assert delete.query == {"origin": "openai"}

"""A job that compares encoders: what it asks, whom it chooses, and how it goes on."""

import threading
from typing import Any

import pytest

from store.registry import heads
from tests.servers.fault_server import Request, Server, status
from tests.workers.comparisons import by_model, encoder, submit
from tests.workers.text_jobs import add_texts, asked_for
from tests.workers.workplace import Workplace

N_DIFFERENT = 119


@pytest.fixture(autouse=True)
def _models(server: Server) -> None:
    server.always = by_model


def asked_of(server: Server, model: str) -> int:
    """How many texts a model was asked for, the probe texts aside."""
    requests = [body for _, _, body in server.requests if body["model"] == model]
    return sum(
        text.split()[-1].isdigit() or text == "twice" for body in requests for text in body["input"]
    )


def test_the_cheapest_of_the_best_is_chosen_and_nothing_is_embedded_twice(
    place: Workplace, server: Server
) -> None:
    compared = [
        encoder(server, "blunt", price=1.0),
        encoder(server, "sharp", price=5.0),
        encoder(server, "sharp", price=5.0, truncate_dim=4),
        encoder(server, "twin", price=2.0),
    ]
    job = place.run(submit(place, add_texts(place), compared))
    assert job is not None
    assert job.status == "succeeded", job.error
    found = place.report(job)["encoders"]
    assert (found["chosen"], found["compared"][0]["held_out"]["ties"]) == ("twin", True)
    assert "The cheapest of them was chosen" in found["reason"]
    assert [asked_of(server, name) for name in ("blunt", "sharp", "twin")] == 3 * [N_DIFFERENT]

    by_name = {one["name"]: one for one in found["compared"]}
    assert {name: one["n_columns"] for name, one in by_name.items()} == {
        "blunt": 8,
        "sharp": 8,
        "sharp[:4]": 4,
        "twin": 8,
    }
    assert by_name["sharp[:4]"]["embedded_with"] == "sharp"
    assert not by_name["blunt"]["held_out"]["ties"]
    tokens = sum(map(len, asked_for(server))) / 3
    assert by_name["twin"]["tokens_per_1000_texts"] == pytest.approx(1000 * tokens / 119, rel=1e-4)
    assert by_name["twin"]["cost_per_1000_texts"] == pytest.approx(2e-3 * tokens / 119, rel=1e-4)
    latency = by_name["blunt"]["latency"]
    assert latency["n_texts"] == 20
    assert 0 < latency["median_seconds"] <= latency["p95_seconds"]
    pairs = {(one["candidate"], one["split"]) for one in found["comparison"]}
    best = found["compared"][0]["name"]
    assert pairs == {(name, "test") for name in by_name if name != best}

    assert job.encoder is not None
    with place.store.database.read() as tx:
        head = heads.version(tx, "default", "texts", 1)
    assert head.encoder is not None
    assert head.encoder["model"] == job.encoder["model"] == "twin"
    assert head.encoder["fingerprint"] == job.encoder["fingerprint"]
    stages = [event.data["stage"] for event in place.events(job) if event.type == "job.stage"]
    assert stages[:3] == ["embedding", "ranking", "loading"]
    fractions = [one["fraction"] for one in place.progress(job)]
    assert fractions == sorted(fractions)
    own = [one for one in place.progress(job) if one["fraction"] > 0.7 and one["candidate"]]
    assert not own, "what the head is made of was trained in the comparison"


def test_one_that_refuses_drops_out_and_an_interrupted_comparison_goes_on(
    place: Workplace, server: Server
) -> None:
    stopping = threading.Event()

    def fault(request: Request, body: dict[str, Any]) -> bool:
        if body["model"] == "blunt" and len(asked_for(server)) > 30:
            return status(401, {"error": {"message": "bad key"}})(request, body)
        if body["model"] == "twin":
            stopping.set()
        return by_model(request, body)

    server.always = fault
    compared = [encoder(server, name, price=1.0) for name in ("blunt", "sharp", "twin")]
    job = submit(place, add_texts(place), compared, sample=100)
    released = place.run(job, stopping=stopping)
    assert released is not None
    assert (released.status, released.attempt) == ("queued", 0)
    n_sharp = asked_of(server, "sharp")
    assert 90 < n_sharp < 110, "about a hundred"

    done = place.run(job)
    assert done is not None
    assert done.status == "succeeded", done.error
    found = place.report(done)["encoders"]
    assert found["sample"] == 100
    last = found["compared"][-1]
    assert (last["name"], last["status"]) == ("blunt", "failed")
    assert last["error"]["code"] == "provider_key_refused"
    assert found["chosen"] == "sharp", "of two that tie, cost the same and are as wide, the first"
    assert asked_of(server, "sharp") == N_DIFFERENT, "the sample, then the rest"
    assert asked_of(server, "twin") == n_sharp
    assert done.encoders is not None
    assert done.encoders["chosen"] == "sharp"
    rows = place.report(done)["dataset"]["splits"]
    assert sum(one["n_rows"] for one in rows) == 120, "the head learns from all rows"


def test_one_encoder_alone_is_no_comparison(place: Workplace, server: Server) -> None:
    def fault(request: Request, body: dict[str, Any]) -> bool:
        if body["model"] == "blunt":
            return status(404, {"error": {"message": "no such model"}})(request, body)
        return by_model(request, body)

    server.always = fault
    compared = [
        encoder(server, "blunt"),
        encoder(server, "sharp"),
        encoder(server, "sharp", truncate_dim=8),
    ]
    job = place.run(submit(place, add_texts(place), compared))
    assert job is not None
    assert (job.status, job.attempt) == ("failed", 1)
    assert job.error is not None
    assert job.error["code"] == "too_few_encoders"
    assert "no such model" in job.error["message"]
    assert "truncate_dim must be less than the width" in job.error["message"]
    assert asked_of(server, "sharp") == N_DIFFERENT, "which the next job need not pay for"


def test_while_one_provider_is_away_the_others_go_on(place: Workplace, server: Server) -> None:
    def fault(request: Request, body: dict[str, Any]) -> bool:
        if body["model"] == "blunt":
            return status(429, {}, Retry_After="900")(request, body)
        return by_model(request, body)

    server.always = fault
    compared = [encoder(server, "blunt"), encoder(server, "sharp")]
    job = place.run(submit(place, add_texts(place), compared))
    assert job is not None
    assert job.status == "queued"
    assert job.waiting is not None
    assert job.waiting["code"] == "provider_busy"
    assert asked_of(server, "sharp") == N_DIFFERENT
    assert set(job.checkpoint) == {"encoder-1/embeddings.safetensors"}


def test_a_provider_that_stays_away_drops_out(place: Workplace, server: Server) -> None:
    place.settings = place.settings.model_copy(update={"provider_patience_seconds": 60})
    server.always = status(429, {}, Retry_After="900")
    compared = [encoder(server, "blunt"), encoder(server, "sharp")]
    job = place.run(submit(place, add_texts(place), compared))
    assert job is not None
    assert job.error is not None
    assert job.error["code"] == "too_few_encoders"
    assert job.encoders is not None
    codes = {one["error"]["code"] for one in job.encoders["compared"]}
    assert codes == {"provider_busy"}


@pytest.mark.slow
def test_embeddings_of_ones_own_are_compared_by_their_datasets(place: Workplace) -> None:
    splits = {"train": 120, "test": 30, "ood/paint": 30}
    datasets = [place.add_dataset(splits, noise=noise) for noise in (3.0, 0.8)]
    compared = [
        {"name": name, "encoder": None, "dataset_id": one.id}
        for name, one in zip(("blurred", "clear"), datasets, strict=True)
    ]
    job = place.run(submit(place, datasets[0], compared))
    assert job is not None
    assert job.status == "succeeded", job.error
    assert (job.dataset_id, job.encoder) == (datasets[1].id, None)
    found = place.report(job)["encoders"]
    assert found["chosen"] == "clear"
    assert {one["kind"] for one in found["comparison"]} == {"id", "ood", "ood_mean"}
    assert found["compared"][0]["ood_accuracy"] is not None
    with place.store.database.read() as tx:
        assert heads.version(tx, "default", "texts", 1).dataset_id == datasets[1].id

    fewer = place.add_dataset({**splits, "train": 117})
    compared[1]["dataset_id"] = fewer.id
    refused = place.run(submit(place, datasets[0], compared))
    assert refused is not None
    assert refused.error is not None
    assert (refused.status, refused.error["field"]) == ("failed", "encoders")
    assert "has not the same rows as blurred" in refused.error["message"]

"""The text journey: sentences, an encoder, a head, predictions; with faults on the way."""

import base64
import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from nmtune_client import Client, ConflictError

from tests.servers import fault_server, infinity
from tests.servers.fault_server import Server
from tests.support.places import ROOT
from tests.support.processes import Process, Site
from tests.support.waiting import wait_until

pytest.importorskip("tokenizers")
SENTENCES = ROOT / "tests" / "data" / "intents.jsonl"
QUICK: dict[str, Any] = {"seed": 1}
KEY = "sk-canary-4711"


@pytest.fixture(scope="module")
def provider() -> Iterator[Server]:
    with fault_server.serving() as server:
        yield server


@pytest.fixture(scope="module")
def house(provider: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server that may reach the provider, and stores keys."""
    site = Site(tmp_path_factory.mktemp("texts"))
    host, port = provider.host
    try:
        yield site.start(
            NMTUNE_PROVIDER_ALLOW_HOSTS=f"{host}:{port}",
            NMTUNE_SECRET_KEY=base64.b64encode(b"s" * 32).decode(),
        )
    finally:
        site.close()
    assert not site.complaints()
    for path in site.data_dir.parent.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


@pytest.fixture
def client(house: Process) -> Iterator[Client]:
    with Client(house.url) as client:
        yield client


def sentences() -> list[dict[str, Any]]:
    return [json.loads(line) for line in SENTENCES.read_text().splitlines()]


@pytest.mark.slow
def test_an_encoder_of_ones_own_becomes_a_head_that_reads_text(
    client: Client, house: Process
) -> None:
    rows = sentences()
    folder = ROOT / "tests" / "data" / "encoders" / "mpnet"
    added = client.encoders.add(folder, name="mine", prefix="query: ", resumable_bytes=1)
    assert (added.family, added.prefix) == ("mpnet", "query: ")
    job = client.jobs.create(
        name="own",
        texts=[row["text"] for row in rows],
        labels=[row["label"] for row in rows],
        splits=[row["split"] for row in rows],
        provider={"name": "local", "model": "mine"},
        method="linear_probe",
        config=QUICK,
    ).wait(timeout=200)
    assert job.encoder is not None
    assert (job.encoder["sha256"], job.encoder["n_columns"]) == (added.sha256, 16)
    assert client.predict("own", texts=[rows[0]["text"]]).labels[0] in {
        row["label"] for row in rows
    }
    with pytest.raises(ConflictError, match="own@1 reads texts with the encoder mine"):
        client.encoders.delete("mine")
    client.heads.delete("own")
    client.encoders.delete("mine")


@pytest.mark.slow
def test_sentences_become_a_head_that_reads_text(client: Client, house: Process) -> None:
    rows = sentences()
    job = client.jobs.create(
        name="intents",
        texts=[row["text"] for row in rows],
        labels=[row["label"] for row in rows],
        splits=[row["split"] for row in rows],
        provider="local-minilm",
        method="linear_probe",
        config=QUICK,
    ).wait(timeout=200)
    assert job.report().metrics("linear_probe", "test")["accuracy"] > 0.9
    assert job.encoder is not None
    assert job.encoder["usage"]["n_texts"] == len(rows)

    asked = {"head": "intents", "text": "will it rain in London tomorrow?"}

    def answered() -> dict[str, Any] | None:
        """The answer; a slow machine may say 503 while it reads the encoder for the first time."""
        response = httpx.get(f"{house.url}/predict", params=asked, timeout=60)
        return None if response.status_code == 503 else response.raise_for_status().json()

    answer = wait_until(answered)
    assert answer["label"] == "weather"
    both = client.predict("intents", texts=[asked["text"], "wake me at seven"])
    assert both.labels.tolist() == ["weather", "alarm"]
    assert both.probabilities[0].max() == pytest.approx(answer["probability"], abs=1e-4)
    top = client.predict("intents", texts=[asked["text"]], top_k=2)
    assert top.extras["top_labels"][0][0] == "weather"
    learnt = client.heads.version("intents", 1).raw["lineage"]
    assert learnt["encoder"] == job.encoder["fingerprint"]
    stated = {"head": "intents", "embeddings": [[0.0] * 384], "encoder": "f" * 64}
    refused = httpx.post(f"{house.url}/predict", json=stated, timeout=60)
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong_encoder")


@pytest.mark.slow
def test_texts_are_chosen_labelled_and_make_a_version_that_is_compared_in_pairs(
    client: Client, tmp_path: Path
) -> None:
    rows = sentences()
    train = [row for row in rows if row["split"] == "train"]
    others = [row for row in rows if row["split"] != "train"]
    known, new = train[::3] + others, [row for at, row in enumerate(train) if at % 3]
    told = {row["text"]: row["label"] for row in new}

    def tuned(dataset: Any) -> Any:
        provider, method = "local-minilm", "linear_probe"
        asked = {"name": "chosen", "provider": provider, "method": method, "config": QUICK}
        return client.jobs.create(dataset=dataset.id, **asked).wait(timeout=200)

    labelled = tmp_path / "known.jsonl"
    labelled.write_text("\n".join(map(json.dumps, known)))
    dataset = client.datasets.upload(labelled)
    tuned(dataset)
    table = tmp_path / "new.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["text", "id"], *([text, at] for at, text in enumerate(told))])
    pool = client.datasets.upload(table, unlabelled=True)
    path = client.heads.select("chosen", pool, n_rows=12, format="csv", path=tmp_path / "to.csv")
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 12
    assert [list(told)[int(line["id"])] for line in lines] == [line["text"] for line in lines]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(line | {"label": told[line["text"]]} for line in lines)
    more = dataset.append(path)
    assert more.n_rows == dataset.n_rows + 12
    tuned(more)
    found = client.heads.compare("chosen", 1, 2)
    assert found.raw["paired"]
    assert {one["split"] for one in found.raw["splits"]} >= {"test"}


@pytest.mark.slow
def test_the_command_takes_a_csv_of_sentences(house: Process, tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(sentences())
    tuned = run(
        house,
        *("tune", str(path), "--text", "text", "--label", "label", "--provider", "local-minilm"),
        *("--method", "linear_probe", "--json"),
    )
    assert json.loads(tuned)["job"]["status"] == "succeeded"
    said = run(house, "predict", "reviews", "--text", "play some jazz", "--json")
    assert json.loads(said)["labels"] == ["play_music"]


def run(house: Process, *arguments: str) -> str:
    found = subprocess.run(
        [str(Path(sys.executable).with_name("nmtune")), *arguments, "--url", house.url],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.slow
def test_predictions_from_text_meet_the_provider_as_it_is(client: Client, provider: Server) -> None:
    """The key is stored, sent, and never seen; what the provider does wrong has a clear answer."""
    client.provider_keys.set(provider.url.removesuffix("/v1"), KEY)
    choice = {"name": "openai-compatible", "model": "toy", "base_url": provider.url}
    texts = [f"text {number}" for number in range(80)]
    client.jobs.create(
        name="toy",
        texts=texts,
        labels=["a", "b"] * 40,
        provider=choice,
        method="linear_probe",
        config=QUICK,
    ).wait(timeout=200)
    assert {headers["Authorization"] for _, headers, _ in provider.requests} == {f"Bearer {KEY}"}

    provider.faults.append(fault_server.status(429, {}, Retry_After="0"))
    assert len(client.predict("toy", texts=texts[:3])) == 3

    new = {"texts": [f"tweet {number}" for number in range(600)], "labels": ["a", "b"] * 300}
    url, n_before = f"{client.base_url}/heads/toy/adapt", len(provider.requests)
    adapted = httpx.post(url, json=new, timeout=60)
    assert adapted.status_code in (200, 201), adapted.text
    paid = [text for _, _, body in provider.requests[n_before:] for text in body["input"]]
    n_after = len(provider.requests)
    assert sorted(paid) == sorted(new["texts"]), "in pieces, and each text once"
    wrong = httpx.post(url, json=new | {"labels": ["a"] * 600}, timeout=60)
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "labels")
    assert len(provider.requests) == n_after, "checked before a provider is paid"

    asked = {"head": "toy", "text": "text 1"}
    provider.always = fault_server.hang
    late = httpx.get(f"{client.base_url}/predict", params=asked, timeout=60)
    assert (late.status_code, late.json()["code"]) == (503, "provider_unavailable")
    assert 9 < late.elapsed.total_seconds() < 20, "the limit is 10 seconds"
    assert late.headers["Retry-After"]
    provider.released.set()
    provider.always = fault_server.status(401, {"error": {"message": f"no such key: {KEY}"}})
    refused = httpx.get(f"{client.base_url}/predict", params=asked, timeout=60)
    assert (refused.status_code, refused.json()["code"]) == (502, "provider_key_refused")
    assert "no such key" in refused.json()["detail"]
    assert KEY not in refused.text
    provider.always = None
    again = httpx.get(f"{client.base_url}/predict", params=asked, timeout=60)
    assert again.status_code == 200
    with pytest.raises(ValueError, match="row 1"):
        client.predict("toy", texts=["a", " "])
    wait_until(lambda: provider.n_under_way == 0)


@pytest.mark.slow
@pytest.mark.timeout(900)  # its environment is installed at first
def test_a_server_that_others_wrote_gives_the_head_that_the_local_encoder_gives(
    tmp_path: Path,
) -> None:
    """infinity-emb serves the same weights by another library, over the OpenAI dialect."""
    rows = sentences()
    asked = ["will it rain in London tomorrow?", "wake me at seven", "play some jazz"]
    site = Site(tmp_path)
    with infinity.serving(tmp_path) as url:
        address = url.removeprefix("http://").removesuffix("/v1")
        house = site.start(NMTUNE_PROVIDER_ALLOW_HOSTS=address)
        try:
            others = {"name": "infinity", "model": infinity.MODEL, "base_url": url}
            found = {}
            for name, choice in (("others", others), ("local", {"name": "local-minilm"})):
                job = house.client.jobs.create(
                    name=name,
                    texts=[row["text"] for row in rows],
                    labels=[row["label"] for row in rows],
                    splits=[row["split"] for row in rows],
                    provider=choice,
                    method="linear_probe",
                    config=QUICK,
                ).wait(timeout=200)
                assert job.encoder is not None
                assert job.encoder["usage"]["n_tokens"] > len(rows)
                found[name] = house.client.predict(name, texts=asked)
        finally:
            site.close()
    assert found["others"].labels.tolist() == ["weather", "alarm", "play_music"]
    assert abs(found["others"].probabilities - found["local"].probabilities).max() < 1e-3
    assert not site.complaints()


@pytest.mark.slow
def test_a_head_follows_an_encoder_that_changed(
    client: Client, provider: Server, house: Process
) -> None:
    """The vectors change between two jobs: predictions say what to do, and the command does it."""
    texts = [f"row {number}" for number in range(120)]
    choice = {"name": "openai-compatible", "model": "moves", "base_url": provider.url}
    client.jobs.create(
        name="moves",
        texts=texts,
        labels=["a", "b"] * 60,
        provider=choice,
        method="linear_probe",
        config=QUICK,
    ).wait(timeout=200)

    def changed(request: fault_server.Request, body: dict[str, Any]) -> bool:
        request.embeddings(body | {"input": [f"{text}!" for text in body["input"]]})
        return True

    provider.always = changed
    try:
        asked = {"head": "moves", "text": "row 3"}
        refused = httpx.get(f"{house.url}/predict", params=asked, timeout=60)
        assert (refused.status_code, refused.json()["code"]) == (409, "encoder_changed")
        assert "POST /heads/moves/migrate" in refused.json()["detail"]
        to = ("--provider", "openai-compatible", "--model", "moves", "--base-url", provider.url)
        plan = json.loads(run(house, "heads", "migrate", "moves@1", *to, "--plan", "--json"))
        provider.requests.clear()
        made = json.loads(run(house, "heads", "migrate", "moves@1", *to, "--json"))
        used = made["job"]["encoder"]["usage"]
        assert sorted(t for t in provider.texts() if t in texts) == sorted(texts), "once each"
        planned = plan["embedding"]
        assert (planned["n_different"], planned["n_known"], used["n_embedded"]) == (120, 0, 120)
        assert planned["n_tokens"] == pytest.approx(used["n_tokens"], rel=0.2)
        assert made["comparison"]["paired"]
        assert made["comparison"]["from"]["version"] == 1
        found = client.heads.version("moves", 2)
        assert found.raw["lineage"]["migrated_from"] == 1
        assert len(client.predict("moves@2", texts=texts[:3])) == 3
    finally:
        provider.always = None

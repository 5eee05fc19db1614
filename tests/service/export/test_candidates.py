"""The bundle of a further candidate says whose figures are whose."""

import io
import zipfile

import orjson
import yaml

from nmtune import Head
from store.store import Store
from tests.pages.reports import Page
from tests.service.candidate_jobs import CandidateJob, right
from tests.service.in_process import InProcess


def bundle(client: InProcess, version: int) -> dict[str, bytes]:
    answer = client.get(f"/heads/pets/versions/{version}/export")
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def test_a_further_candidate_is_not_taken_for_the_jobs_own(
    client: InProcess, store: Store, trained: bytes
) -> None:
    said = {"test": {"nmtune": right(1, 2, 3, 4), "mlp": right(1)}}
    further = Head.from_bytes(trained).calibrated(0.7).to_bytes()
    job = CandidateJob(heads={"nmtune": trained, "mlp": further}, said=said).run(store)
    assert client.post(f"/jobs/{job.id}/publish", json={"candidate": "mlp"}).status_code == 201
    own, other = bundle(client, 1), bundle(client, 2)

    assert (own["head.safetensors"], other["head.safetensors"]) == (trained, further)
    assert orjson.loads(own["metrics.json"])["test"]["accuracy"] == 0.98
    assert orjson.loads(other["metrics.json"])["test"]["accuracy"] == 0.995
    assert own["report.json"] == other["report.json"]
    config = orjson.loads(other["config.json"])
    assert (config["method"], config["config"]) == ("mlp", {"preset": "mlp"})
    assert config["lineage"]["job_method"] == "nmtune"

    card, card_of_own = other["README.md"].decode(), own["README.md"].decode()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["tags"][-1] == "mlp"
    assert front["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.995
    assert "another candidate of its job, which published `nmtune` by itself" in card
    assert "verdict is on that one: **Keep it.**" in card
    assert "another candidate" not in card_of_own
    assert "The report's verdict: **Keep it.**" in card_of_own

    page, page_of_own = Page(other["report.html"].decode()), Page(own["report.html"].decode())
    assert "This head is another candidate of the job: the matched MLP." in page.text
    assert "The job itself published NMTune; the verdict" in page.text
    assert "as the candidate mlp of a job with method nmtune" in page.text
    assert "99.5" in page.text
    assert "another candidate" not in page_of_own.text
    assert "We trained the head pets with method nmtune" in page_of_own.text

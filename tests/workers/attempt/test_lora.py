"""A job that adapts its encoder: chosen by held-out texts, resumed bit for bit, and served."""

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors

from nmtune import Head
from nmtune.encoder.adapter import Adapter
from providers import probe_texts
from providers.encoder import Encoder
from providers.local import minilm
from providers.local.provider import load
from providers.pool import Providers
from service.export import adapted_encoder
from service.http.errors import Problem
from store.errors import UnknownCandidate
from store.jobs import Job
from store.registry import candidates, heads
from store.registry.heads import HeadVersion
from tests.support.waiting import wait_until
from tests.workers import lora_jobs
from tests.workers.workplace import OpenWorkplace, Workplace, children, start_worker

pytest.importorskip("tokenizers")
pytestmark = pytest.mark.slow


class Adapted(NamedTuple):
    """A finished job with full fine-tuning, and its place."""

    place: Workplace
    job: Job


@pytest.fixture(scope="module")
def adapted(open_workplace: OpenWorkplace, tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    place = open_workplace(tmp_path_factory.mktemp("adapted"))
    dataset = lora_jobs.add_texts(place, lora_jobs.word_pairs())
    job = place.run(lora_jobs.submit(place, dataset, analyses=("full_finetuning",)))
    assert job is not None
    assert job.status == "succeeded", job.error
    return Adapted(place, job)


def served(place: Workplace, version: HeadVersion, texts: Sequence[str]) -> NDArray[np.float32]:
    """The texts' vectors, by the encoder that the head names."""
    data = place.store.artifacts.get_bytes("default", version.sha256)
    with Providers() as providers:
        encoder = Encoder.from_dict(version.encoder or {})
        provider = providers.open(encoder, lambda _: None, read_head=lambda: data)
        return provider.embed(list(texts), seconds=60).vectors


def published(adapted: Adapted) -> HeadVersion:
    with adapted.place.store.database.read() as tx:
        return heads.version(tx, "default", "order", 1)


def test_the_adapted_encoder_is_published_where_it_wins(adapted: Adapted) -> None:
    report = adapted.place.report(adapted.job)
    assert report["choice"]["weights"] == {"lora": 1.0}
    assert "is clearly better than auto's head on frozen embeddings" in report["choice"]["reason"]
    told: dict[str, Any] = report["candidates"]
    assert list(told)[-4:] == ["frozen_auto", "lora", "full_finetuning", "auto"]
    assert told["auto"]["metrics"] == told["lora"]["metrics"]
    assert told["lora"]["metrics"]["validation"]["log_loss"] < 0.5
    assert told["frozen_auto"]["metrics"]["validation"]["log_loss"] > 0.6
    pairs = {(row["candidate"], row["baseline"]) for row in report["comparison"]}
    assert {("lora", "frozen_auto"), ("full_finetuning", "frozen_auto")} <= pairs
    assert report["spectra"]["raw"]["test"] != report["spectra"]["tuned"]["test"]
    assert [one["epoch"] for one in told["lora"]["history"]] == [1, 2, 3, 4, 5, 6]
    fractions = [one["fraction"] for one in adapted.place.progress(adapted.job)]
    assert fractions == sorted(fractions)


def test_a_served_text_has_the_vector_and_the_answer_of_the_training(adapted: Adapted) -> None:
    version, report = published(adapted), adapted.place.report(adapted.job)
    head = Head.from_bytes(adapted.place.store.artifacts.get_bytes("default", version.sha256))
    assert head.self_test is not None
    rows = lora_jobs.word_pairs()["test"]
    vectors = served(adapted.place, version, [text for text, _ in rows])
    for stored in head.self_test.x:
        assert np.abs(vectors - stored).max(axis=1).min() < 1e-5
    y = [head.classes.index(label) for _, label in rows]
    chances = head.predict_proba(vectors)[np.arange(len(y)), y]
    expected = report["candidates"]["auto"]["metrics"]["test"]["log_loss"]
    assert -np.log(chances).mean() == pytest.approx(expected, abs=1e-5)


def test_the_tuned_encoder_has_a_fingerprint_of_its_own(adapted: Adapted) -> None:
    version, job = published(adapted), adapted.job
    assert version.encoder is not None
    assert job.encoder is not None
    assert version.encoder["fingerprint"] != job.encoder["fingerprint"]
    found = probe_texts.signature(served(adapted.place, version, probe_texts.TEXTS))
    assert probe_texts.are_alike(version.encoder["sketch"], found)
    base = {name: one for name, one in version.encoder.items() if name != "adapter"}
    with Providers() as providers:
        plain = providers.open(Encoder.from_dict(base), lambda _: None)
        unlike = plain.embed(list(probe_texts.TEXTS), seconds=60).vectors
    assert not probe_texts.are_alike(version.encoder["sketch"], probe_texts.signature(unlike))


def test_other_candidates_can_be_published_but_not_the_whole_encoder(adapted: Adapted) -> None:
    report, job = adapted.place.report(adapted.job), adapted.job
    with adapted.place.store.database.begin() as tx:
        frozen = candidates.publish(tx, job, report, "frozen_auto").version
        lora = candidates.publish(tx, job, report, "lora").version
        with pytest.raises(UnknownCandidate, match="all weights of the encoder"):
            candidates.publish(tx, job, report, "full_finetuning")
    assert job.encoder is not None
    assert frozen.encoder is not None
    assert frozen.encoder["fingerprint"] == job.encoder["fingerprint"]
    assert lora.encoder == published(adapted).encoder


def test_the_exports_embed_as_the_served_encoder(adapted: Adapted, tmp_path: Path) -> None:
    version = published(adapted)
    head = Head.from_bytes(adapted.place.store.artifacts.get_bytes("default", version.sha256))
    texts = [text for text, _ in lora_jobs.word_pairs()["test"]]
    with ZipFile(
        io.BytesIO(adapted_encoder.merged_bytes(version, head, minilm.place()))
    ) as archive:
        archive.extractall(tmp_path)
    merged = load(tmp_path / "order-1-encoder").embed(texts).vectors
    assert np.abs(merged - served(adapted.place, version, texts)).max() < 1e-5

    zipped = adapted_encoder.peft_bytes(version, head, minilm.place())
    with ZipFile(io.BytesIO(zipped)) as archive:
        files = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["adapter_config.json"])
    names = list(load_tensors(files["adapter_model.safetensors"]))
    assert (config["peft_type"], config["r"], len(names)) == ("LORA", 8, 2 * 36)
    assert "base_model.model.encoder.layer.0.attention.self.query.lora_A.weight" in names
    for layer in ("encoder.layer.3.output.dense", "encoder.layer.0.attention.self.key"):
        assert re.fullmatch(config["target_modules"], layer)
    assert not re.fullmatch(config["target_modules"], "pooler.dense")
    assert Head.from_bytes(files["head.safetensors"]).adapter is None


def test_an_export_that_embeds_otherwise_is_refused(adapted: Adapted) -> None:
    version = published(adapted)
    head = Head.from_bytes(adapted.place.store.artifacts.get_bytes("default", version.sha256))
    served(adapted.place, version, ["its adapter is loaded"])
    assert head.adapter is not None
    other = head.with_adapter(Adapter.from_bytes(head.adapter).at(0.5).to_bytes())
    for make in (adapted_encoder.peft_bytes, adapted_encoder.merged_bytes):
        with pytest.raises(Problem, match="does not embed as the served encoder") as refused:
            make(version, other, minilm.place())
        assert refused.value.code == "export_disagrees"
        with pytest.raises(Problem, match="no adapter to export"):
            make(version, head.with_adapter(None), minilm.place())


def test_a_job_killed_while_it_adapts_goes_on_bit_for_bit(
    adapted: Adapted, workplace: Workplace
) -> None:
    dataset = lora_jobs.add_texts(workplace, lora_jobs.word_pairs())
    job = lora_jobs.submit(workplace, dataset)
    with workplace.running(job):
        wait_until(
            lambda: "lora.checkpoint.safetensors" in workplace.read(job).checkpoint, seconds=120
        )
        for child in children():
            child.kill()
    assert workplace.read(job).status == "queued"
    worker = start_worker(workplace)
    try:
        wait_until(lambda: workplace.read(job).status == "succeeded", seconds=240)
    finally:
        worker.stop()
    ended = workplace.read(job)
    assert ended.attempt == 2
    assert workplace.head_sha256(ended) == published(adapted).sha256

"""A head goes to another encoder: its texts anew, or a bridge of texts that both have embedded."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from nmtune import Head, resolve
from providers import catalogue
from store import datasets, jobs
from store.datasets import Dataset
from store.files.texts import TextsFile, TextSplit
from store.jobs import Job
from store.registry import heads
from store.registry.heads import HeadVersion
from tests.servers import fault_server
from tests.servers.fault_server import Request, Server, vector
from tests.workers.text_jobs import QUICK, add_texts, asked_for, submit, texts
from tests.workers.workplace import OpenWorkplace, Workplace

WIDTH = fault_server.WIDTH
TURN = np.linalg.qr(np.random.default_rng(3).normal(size=(WIDTH, WIDTH)))[0]
BRIDGE = texts("bridge", 150)


def turned(text: str) -> list[float]:
    """The new encoder's vector of a text: the old one's, turned."""
    found: list[float] = (np.array(vector(text)) @ TURN).tolist()
    return found


def _answer(request: Request, body: dict[str, Any]) -> bool:
    """The model `turned` turns the vectors of `toy`; `other` has vectors of its own."""
    model = body["model"]
    if model == "toy":
        return False
    make = turned if model == "turned" else lambda text: vector(f"other {text}")
    data = [{"index": at, "embedding": make(text)} for at, text in enumerate(body["input"])]
    request.answer(200, {"data": data, "usage": {"prompt_tokens": sum(map(len, body["input"]))}})
    return True


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with fault_server.serving() as server:
        yield server


@pytest.fixture(scope="module")
def place(
    open_workplace: OpenWorkplace, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Workplace:
    """A workplace with the head texts@1, trained on the vectors of `toy`."""
    place = open_workplace(tmp_path_factory.mktemp("migrations"))
    host, port = server.host
    place.settings = place.settings.model_copy(update={"provider_allow_hosts": f"{host}:{port}"})
    job = place.run(submit(place, server, add_texts(place)))
    assert job is not None
    assert job.status == "succeeded", job.error
    return place


@pytest.fixture(autouse=True)
def _models(server: Server) -> None:
    server.always = _answer
    server.requests.clear()


def add_bridge(place: Workplace, rows: list[str], y: list[int] | None = None) -> Dataset:
    """Texts without labels, or with those of the classes a and b."""
    name = "train" if y is not None else "rows"
    split = TextSplit(
        name=name, texts=rows, y=np.array(y or [], np.int64), rows=list(range(len(rows)))
    )
    file = TextsFile(classes=[] if y is None else ["a", "b"], splits=[split])
    reference = place.store.artifacts.put_bytes("default", file.to_bytes())
    with place.store.database.begin() as tx:
        return datasets.add(
            tx,
            "default",
            name="bridge",
            sha256=reference.sha256,
            size_bytes=reference.size_bytes,
            n_rows=len(rows),
            n_columns=0,
            content=datasets.TEXTS,
            classes=file.classes,
            splits=[],
            profile={},
        )


def migrate(
    place: Workplace, server: Server, dataset: Dataset, *, model: str = "turned", **migration: Any
) -> Job:
    """Submit a refit on a dataset of labelled texts, or with `old_encoder` a bridge; run it."""
    encoder = catalogue.resolve(
        "openai-compatible", model=model, base_url=server.url, allowed=[server.host]
    )
    with place.store.database.begin() as tx:
        job = jobs.submit(
            tx,
            "default",
            name="texts",
            dataset_id=dataset.id,
            method="linear_probe",
            config=resolve(method="linear_probe", config=QUICK).to_dict(),
            encoder=encoder.to_dict(),
            migration={"from_version": 1, "way": "bridge" if migration else "refit", **migration},
            by_bridge=bool(migration),
        )
    ended = place.run(job)
    assert ended is not None
    return ended


def version_of(place: Workplace, number: int) -> tuple[HeadVersion, Head]:
    with place.store.database.read() as tx:
        found = heads.version(tx, "default", "texts", number)
    return found, Head.from_bytes(place.store.artifacts.get_bytes("default", found.sha256))


def published(place: Workplace, job: Job | None) -> tuple[HeadVersion, Head]:
    assert job is not None
    assert job.head_version is not None
    return version_of(place, job.head_version)


def old_encoder(place: Workplace) -> dict[str, Any]:
    encoder = version_of(place, 1)[0].encoder
    assert encoder is not None
    return {name: one for name, one in encoder.items() if name != "sketch"}


def training_texts(place: Workplace) -> Dataset:
    with place.store.database.read() as tx:
        return datasets.get(tx, "default", version_of(place, 1)[0].dataset_id)


def changed(request: Request, body: dict[str, Any]) -> bool:
    """Whatever the model: other vectors than before."""
    request.embeddings(body | {"input": [f"{text}!" for text in body["input"]]})
    return True


@pytest.mark.slow
def test_a_refit_is_the_head_of_a_fresh_job_whatever_came_before(
    place: Workplace, server: Server
) -> None:
    """An encoder that changes in the middle leaves no mixture behind; the next job is whole."""
    dataset = training_texts(place)
    server.always = changed
    server.faults.append(_answer)  # the probe texts; what follows is of another model
    mixed = migrate(place, server, dataset)
    assert (mixed.status, (mixed.error or {})["code"]) == ("failed", "encoder_changed")
    assert "while the texts were embedded" in (mixed.error or {})["message"]
    server.always = _answer
    server.requests.clear()
    job = migrate(place, server, dataset)
    assert job.status == "succeeded", job.error
    assert len(asked_for(server)) == 119, "nothing of the mixture was kept"
    version, _ = published(place, job)
    assert (version.migrated_from, version.lineage["migration"]["way"]) == (1, "refit")
    server.requests.clear()
    fresh_job = place.run(submit(place, server, dataset, model="turned"))
    assert asked_for(server) == [], "each text was paid for once"
    fresh, _ = published(place, fresh_job)
    assert fresh.sha256 == version.sha256
    assert (fresh.migrated_from, fresh.metrics) == (None, version.metrics)


def test_a_bridge_carries_the_head_over(place: Workplace, server: Server) -> None:
    known = texts("train", 30)  # the old encoder has embedded them
    job = migrate(
        place, server, add_bridge(place, [*BRIDGE, *known]), old_encoder=old_encoder(place)
    )
    assert job.status == "succeeded", job.error
    asked: dict[str, list[str]] = {"toy": [], "turned": []}
    for _, _, body in server.requests:
        asked[body["model"]] += body["input"]
    assert set(BRIDGE) <= set(asked["toy"]), "the old encoder too must embed them"
    assert not set(known) & set(asked["toy"]), "these were paid for before"
    assert len(asked_for(server)) == len(set(asked["toy"])) + len(set(asked["turned"])) - 6
    version, moved = published(place, job)
    _, before = version_of(place, 1)
    rows = texts("new", 40)
    np.testing.assert_allclose(
        moved.predict_proba([turned(text) for text in rows]),
        before.predict_proba([vector(text) for text in rows]),
        atol=1e-4,
    )
    assert moved.self_test is not None
    assert moved.knowledge is not None
    found = version.lineage["migration"]
    assert (version.migrated_from, found["made_by"], found["map"]["n_pairs"]) == (1, "map", 180)
    assert (found["agreement"]["n_rows"], found["agreement"]["share"]) == (36, 1.0)
    assert (job.head_name, job.report_sha256) == ("texts", None)
    assert job.migration == found
    assert found["old_encoder"]["usage"]["n_embedded"] == len(BRIDGE)
    assert version.metrics == {}


@pytest.mark.slow
def test_too_little_agreement_publishes_nothing(place: Workplace, server: Server) -> None:
    """Nothing leads from the vectors of `other` to those of `toy`."""
    bridge = add_bridge(place, BRIDGE)
    job = migrate(place, server, bridge, old_encoder=old_encoder(place), model="other")
    assert (job.status, (job.error or {})["code"]) == ("failed", "agreement_too_low")
    assert "on 30 held-out texts of the bridge" in (job.error or {})["message"]
    assert job.head_version is None


@pytest.mark.slow
def test_an_old_encoder_that_is_gone_is_told_and_its_kept_vectors_do(
    place: Workplace, server: Server
) -> None:
    """With labels that say what the new vectors' first column does, the refit wins."""
    server.always = lambda request, body: (
        changed(request, body) if body["model"] == "toy" else _answer(request, body)
    )
    old = old_encoder(place)
    job = migrate(place, server, add_bridge(place, texts("unseen", 100)), old_encoder=old)
    assert (job.status, (job.error or {})["code"]) == ("failed", "encoder_changed")
    assert "The old encoder is gone" in (job.error or {})["message"]
    assert "POST /heads/texts/migrate" in (job.error or {})["message"]
    server.requests.clear()
    kept = [*texts("train", 58), *texts("test", 60)]
    labels = [int(turned(text)[0] > 0) for text in kept]
    job = migrate(place, server, add_bridge(place, kept, labels), old_encoder=old)
    assert job.status == "succeeded", job.error
    assert {body["model"] for _, _, body in server.requests} == {"turned"}
    found = published(place, job)[0].lineage["migration"]
    assert found["made_by"] == "refit"
    trial = found["trial"]
    assert trial["gain"] == pytest.approx(trial["loss_moved"] - trial["loss_refitted"])
    assert trial["accuracy_refitted"] > 0.85 > trial["accuracy_moved"]

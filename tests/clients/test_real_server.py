"""Both clients against the real service, with a real head: what one says, the other says."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from nmtune_client import AsyncClient, Client, JobData, NotFoundError, ValidationError
from nmtune_client._cli.main import main

import migrations
from nmtune import Head
from nmtune.trust.knowledge import learn
from service.app import create_app
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store
from tests.service.in_process import CLASSES, N_COLUMNS, add_job, claim, publish, succeed, train
from tests.support.http import Running, serve

MOST_ROWS = 300


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    """Two clouds of 500 rows each."""
    rng = np.random.default_rng(7)
    centres = np.array([[1.0, 0.0, 0.3], [0.0, 1.0, -0.3]])
    y = np.repeat([0, 1], 500)
    return (centres[y] + 0.3 * rng.normal(size=(1000, N_COLUMNS))).astype(np.float32)


@pytest.fixture(scope="module")
def trained(x: np.ndarray) -> bytes:
    """The bytes of a small true head."""
    return train((x, np.repeat([0, 1], 500)), seed=0)


@pytest.fixture(scope="module")
def knowing(trained: bytes, x: np.ndarray) -> Head:
    """The same head, which also knows when to trust it."""
    head = Head.from_bytes(trained)
    y = np.repeat([0, 1], 500)
    of_truth = head.predict_proba(x)[np.arange(len(y)), y]
    return head.with_knowledge(learn(x, y, predicted=y, of_truth=of_truth, n_classes=2, seed=0))


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, trained: bytes, knowing: Head
) -> Iterator[Store]:
    """A store that has the heads pets@prod and, with knowledge, knowing."""
    settings = ServiceSettings(data_dir=tmp_path_factory.mktemp("real") / "data")
    settings.data_dir.mkdir()
    migrations.upgrade(f"sqlite:///{settings.data_dir / 'nmtune.db'}")
    store = Store.open(settings)
    publish(store, trained, alias="prod")
    publish(store, knowing.to_bytes(), name="knowing")
    yield store
    store.close()


@pytest.fixture(scope="module")
def running(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = ServiceSettings(
        data_dir=tmp_path_factory.mktemp("unused"),
        max_predict_rows=MOST_ROWS,
        events_poll_seconds=0.02,
        events_heartbeat_seconds=0.1,
    )
    with serve(create_app(settings, store=store, queue=LocalQueue())) as found:
        yield found


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[Client]:
    with Client(running.url, timeout=30) as made:
        yield made


@pytest.fixture(scope="module")
def pets(trained: bytes) -> Head:
    """The twin, in this process, of the head pets@prod."""
    return Head.from_bytes(trained)


def frame(x: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(x, index=[f"row {i}" for i in range(len(x))])


FORMS = {
    "float64": lambda x: x.astype(np.float64),
    "float16": lambda x: x.astype(np.float16),
    "fortran": np.asfortranarray,
    "reversed": lambda x: x[::-1][::-1],
    "lists": lambda x: x.tolist(),
    "torch": torch.from_numpy,
    "pandas": frame,
    "polars": pl.DataFrame,
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_every_kind_get_the_head_s_own_answer(
    client: Client, pets: Head, x: np.ndarray, form: str
) -> None:
    rows = FORMS[form](x)
    prediction = client.predict("pets@prod", rows)
    expected = x.astype(np.float16).astype(np.float32) if form == "float16" else x
    assert prediction.labels.tolist() == pets.predict(expected)
    np.testing.assert_allclose(prediction.probabilities, pets.predict_proba(expected), atol=1e-5)
    assert (prediction.head_name, prediction.head_version) == ("pets", 1)
    assert prediction.classes == CLASSES


def test_each_output_is_what_the_head_itself_computes(
    client: Client, pets: Head, x: np.ndarray
) -> None:
    logits = client.predict("pets", x, output="logits")
    np.testing.assert_allclose(logits.logits, pets.logits(x), atol=1e-4)
    assert logits.labels.tolist() == pets.predict(x)
    tuned = client.predict("pets", x, output="embeddings")
    np.testing.assert_allclose(tuned.embeddings, pets.transform(x), atol=1e-4)
    assert len(tuned) == len(x)
    assert tuned.to_pandas().columns[0] == "embedding_0"
    labels = client.predict("pets", x, output="labels")
    assert labels.labels.tolist() == pets.predict(x)
    assert labels.to_pandas().columns.tolist() == ["label"]
    for prediction, name in ((tuned, "labels"), (labels, "probabilities"), (logits, "embeddings")):
        with pytest.raises(AttributeError, match="output="):
            getattr(prediction, name)


@pytest.mark.parametrize("output", ["probabilities", "labels"])
def test_a_head_may_abstain(client: Client, pets: Head, x: np.ndarray, output: Any) -> None:
    best = pets.predict_proba(x).max(axis=1)
    threshold = float(np.quantile(best, 0.3))
    prediction = client.predict("pets", x, output=output, abstain_below=threshold)
    sure = np.abs(best - threshold) > 1e-5
    expected = np.where(best >= threshold, pets.predict(x), None)
    assert prediction.labels[sure].tolist() == expected[sure].tolist()
    assert prediction.to_pandas()["label"].isna().sum() == (prediction.labels == None).sum()  # noqa: E711


def test_the_best_classes_alone_may_be_asked_for(client: Client, pets: Head, x: np.ndarray) -> None:
    prediction = client.predict("pets", x, top_k=1)
    (best,) = zip(*prediction.top(5), strict=True)
    assert [label for label, _ in best] == prediction.labels.tolist() == pets.predict(x)
    np.testing.assert_allclose(
        [probability for _, probability in best], pets.predict_proba(x).max(axis=1), atol=1e-5
    )


def test_what_a_head_knows_comes_with_its_predictions(
    running: Running, client: Client, knowing: Head, x: np.ndarray
) -> None:
    rows = np.concatenate([x, np.full((1, N_COLUMNS), 9, np.float32)])
    prediction = client.predict("knowing", rows, conformal_level=0.9, ood=True)
    assert knowing.knowledge is not None
    assert knowing.knowledge.ood is not None
    scores = knowing.knowledge.ood.score(rows)
    np.testing.assert_allclose(prediction.ood_scores, scores, rtol=1e-3, atol=1e-4)
    assert prediction.ood_threshold == pytest.approx(knowing.knowledge.ood.threshold)
    assert prediction.is_ood[-1]
    assert [one[0] for one in prediction.sets] == prediction.labels.tolist()
    assert len(prediction.probabilities) == len(rows)

    async def ask() -> Any:
        async with AsyncClient(running.url) as other:
            return await other.predict("knowing", rows, conformal_level=0.9, ood=True)

    twin = asyncio.run(ask())
    assert twin.sets == prediction.sets
    assert twin.to_pandas().columns.tolist() == prediction.to_pandas().columns.tolist()
    with pytest.raises(ValidationError, match="not_learnt"):
        client.predict("pets", rows, ood=True)


def test_an_option_that_cannot_be_is_refused_by_the_server(client: Client) -> None:
    with pytest.raises(ValidationError, match="abstain_below"):
        client.predict("pets", np.ones((1, 3)), abstain_below=2)


def test_a_frame_comes_back_with_its_own_index(client: Client, x: np.ndarray) -> None:
    prediction = client.predict("pets", frame(x))
    table = prediction.to_pandas()
    assert table.index.tolist() == [f"row {i}" for i in range(1000)]
    assert table.columns.tolist() == ["label", "probability_cat", "probability_dog"]
    assert table["label"].tolist() == prediction.labels.tolist()
    assert table["probability_dog"].to_numpy().tolist() == prediction.probabilities[:, 1].tolist()


@pytest.mark.parametrize(
    ("bad", "message"),
    [(np.nan, "row 700, column 1: it is nan"), (1e39, r"row 700, column 1: 1e\+39 does not fit")],
)
@pytest.mark.parametrize("form", ["float64", "lists", "pandas", "polars"])
def test_a_value_that_is_no_float32_is_named_before_anything_is_sent(
    client: Client, x: np.ndarray, form: str, bad: float, message: str
) -> None:
    wrong = x.astype(np.float64)
    wrong[700, 1] = bad
    with pytest.raises(ValueError, match=message):
        client.predict("pets", FORMS[form](wrong))


def test_a_missing_value_of_a_frame_is_named(client: Client, x: np.ndarray) -> None:
    missing = frame(x).astype("Float64")
    missing.iloc[3, 2] = pd.NA
    with pytest.raises(ValueError, match="row 3, column 2"):
        client.predict("pets", missing)
    table = pl.DataFrame({"a": [1.0, None], "b": [1.0, 2.0], "c": [1.0, 2.0]})
    with pytest.raises(ValueError, match="row 1, column 0: it is nan"):
        client.predict("pets", table)


def test_what_the_server_refuses_is_told(client: Client) -> None:
    with pytest.raises(NotFoundError):
        client.predict("cats", np.ones((1, 3)))
    with pytest.raises(ValidationError, match="3 columns"):
        client.predict("pets", np.ones((1, 4)))


def test_a_version_of_the_registry_is_a_head_to_ask(client: Client, x: np.ndarray) -> None:
    version = client.heads.version("pets", 1)
    assert client.predict(version, x[:5]).head_version == 1


def test_many_predictions_at_once_are_each_their_own(
    running: Running, pets: Head, x: np.ndarray
) -> None:
    async def predict_all() -> list[Any]:
        async with AsyncClient(running.url, timeout=60) as client:
            parts = [x[start : start + 10] for start in range(0, 1000, 10)]
            return await asyncio.gather(*(client.predict("pets@prod", part) for part in parts))

    predictions = asyncio.run(predict_all())
    labels = [label for prediction in predictions for label in prediction.labels]
    assert labels == pets.predict(x)


def test_a_crowd_that_is_half_cancelled_serves_the_other_half(
    running: Running, pets: Head, x: np.ndarray
) -> None:
    async def predict_some() -> tuple[list[Any], int]:
        async with AsyncClient(running.url, timeout=60) as client:
            tasks = [asyncio.create_task(client.predict("pets@prod", x)) for _ in range(16)]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks[1::2]:
                task.cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            whole = [one for one in found if not isinstance(one, BaseException)]
            assert all(isinstance(one, asyncio.CancelledError) for one in found if one not in whole)
            again = await client.predict("pets@prod", x[:5])
            return whole, len(again)

    whole, n_again = asyncio.run(predict_some())
    assert len(whole) >= 8
    assert n_again == 5
    for prediction in whole:
        assert prediction.labels.tolist() == pets.predict(x)


def test_both_clients_read_the_same_things(running: Running, client: Client) -> None:
    async def read() -> tuple[list[str], Any, Any]:
        async with AsyncClient(running.url) as other:
            heads = [str(head) async for head in other.heads.list()]
            head = await other.heads.get("pets")
            await other.heads.set_alias("pets", "twin", 1)
            jobs = [job.id async for job in other.jobs.list(status="succeeded")]
            dataset = await other.datasets.get(head.versions[0].dataset_id or "")
            return heads, jobs, dataset

    heads, jobs, dataset = asyncio.run(read())
    assert heads == [str(head) for head in client.heads.list()]
    assert "pets" in heads
    assert jobs == [job.id for job in client.jobs.list(status="succeeded")]
    assert dataset == client.datasets.get(dataset.id)
    assert client.heads.get("pets").aliases["twin"] == 1


def test_a_job_is_created_followed_and_read_by_the_asynchronous_client(
    running: Running, store: Store, trained: bytes, x: np.ndarray
) -> None:
    async def tune() -> tuple[list[str], list[JobData], str]:
        async with AsyncClient(running.url, timeout=30) as client:
            job_id = await asyncio.to_thread(add_job, store, name="owls")
            job = await client.jobs.get(job_id)
            seen: list[JobData] = []
            waiting = asyncio.create_task(job.wait(30, progress=seen.append))
            claimed = await asyncio.to_thread(claim, store, job_id)
            await asyncio.to_thread(succeed, store, claimed, trained)
            assert await waiting is job
            types = [event.type async for event in job.events(follow=True)]
            return types, seen, str(job.head)

    types, seen, head = asyncio.run(tune())
    assert types == ["job.queued", "job.started", "head.published", "job.succeeded"]
    assert seen[-1].status == "succeeded"
    assert head == "owls@1"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--method", "foo"), "method must be"),
        (("--provider", "nosuch"), "There is no provider 'nosuch'"),
        (("--set", "epoch=3"), "epoch"),
        (("--preset", "nosuch"), "nosuch"),
        (("--tag", "bad name=1"), "The tag 'bad name' must be 1 to 64 letters"),
        (("--alias", "not good"), "alias must be 1 to 64 letters"),
        (("--name", "not good"), "name must be 1 to 64 letters"),
        (("--priority", "900"), "priority"),
    ],
)
@pytest.mark.parametrize("plan", [(), ("--plan",)])
def test_a_tuning_that_cannot_be_is_refused_before_its_file_is_sent(
    running: Running,
    client: Client,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    told: str,
    plan: tuple[str, ...],
) -> None:
    path = tmp_path / "owls.csv"
    path.write_text("dim_0,dim_1,label\n" + "1,0,a\n0,1,b\n" * 20)
    before = [one.id for one in client.datasets.list()]
    assert main(["--url", running.url, "tune", str(path), *options, *plan]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert "Uploading" not in err
    assert [one.id for one in client.datasets.list()] == before


def test_a_tuning_that_can_be_is_planned_after_its_file_was_sent(
    running: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "owls.csv"
    path.write_text("dim_0,dim_1,label\n" + "1,0,a\n0,1,b\n" * 20)
    options = ("--method", "mlp", "--tag", "good=1", "--priority", "5", "--plan")
    assert main(["--url", running.url, "tune", str(path), *options]) == 0
    assert "mlp" in capsys.readouterr().out


def test_a_job_of_rows_is_queued_and_cancelled(running: Running, x: np.ndarray) -> None:
    async def cancel() -> str:
        async with AsyncClient(running.url) as client:
            labels = ["cat"] * 500 + ["dog"] * 500
            job = await client.jobs.create(name="owls", embeddings=x, labels=labels)
            return (await job.cancel()).status

    assert asyncio.run(cancel()) == "cancelled"
